#!/bin/sh
# The guest's first and only script: makes a machine of what the archive holds, runs the plan, and
# ends. The plan and every result go over the second serial line, so that no message of the kernel
# falls into the middle of one.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
# tmpfs, not the first root's own kind: that one has no free space to speak of.
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs -o size=60% tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t securityfs securityfs /sys/kernel/security
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
ln -s /proc/self/fd /dev/fd
ip link set lo up
echo guest > /proc/sys/kernel/hostname
# An oops ends the guest at once, and with it whatever would have been waited for.
echo 1 > /proc/sys/kernel/panic_on_oops
# As on a node: conntrack follows what it is asked to only if it is loaded.
modprobe nf_conntrack
# Its device is made by a rule of udev elsewhere.
modprobe tun
. /vm/environment

if [ -e /vm/shell ]; then
    . /vm/shell
else
    stty -F /dev/ttyS1 raw -echo
    . /vm/plan > /dev/ttyS1 2>&1 < /dev/null
fi
# With -no-reboot that ends the emulator.
sync
echo b > /proc/sysrq-trigger
