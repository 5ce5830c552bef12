/*
 * What libpcap (BSD licence) doesn't offer by itself: a filter compiled for a packet under a Linux
 * hook without opening a device there. Built with libpcap by `cargo xtask build`.
 */

#include <config.h>

#include <stdint.h>
#include <stdio.h>

#include "pcap-int.h"

/*
 * Compiles as a live capture does: the kernel takes a VLAN tag out of the frame, and `vlan` looks
 * for it in both places. pcap_open_dead() alone leaves that out, since it means files.
 *
 * Returns 0 and a program for pcap_freecode(), or -1 and a NUL-terminated message.
 */
int nodecap_pcap_compile(int link_type, int snaplen, const char *text, uint32_t netmask,
			 struct bpf_program *program, char *message, size_t room)
{
	pcap_t *handle = pcap_open_dead(link_type, snaplen);
	int failed;

	if (handle == NULL) {
		snprintf(message, room, "out of memory");
		return -1;
	}
	handle->bpf_codegen_flags |= BPF_SPECIAL_VLAN_HANDLING;
	failed = pcap_compile(handle, program, text, 1, netmask);
	if (failed)
		snprintf(message, room, "%s", pcap_geterr(handle));
	pcap_close(handle);
	return failed ? -1 : 0;
}
