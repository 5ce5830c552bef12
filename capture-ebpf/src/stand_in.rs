//! Functions that stand in for code which user space makes.
//!
//! Before the load it puts that code in the place of the function's section
//! (`kernel/stand_in.rs` there). The code is verified by itself, once, as any function that is visible
//! from outside. Where there is none, nothing here is called: the verifier drops the call, and
//! before 6.8 looks at the stand-in.

/// A function that returns a number. LLVM must not see which, nor that two of them return the same, or
/// that an argument isn't used: hence assembly, with text of its own.
macro_rules! stand_in {
    (
        $(#[doc = $doc:literal])*
        fn $name:ident($($argument:ident: $type:ty),*) -> u32 in $section:literal is $number:literal
    ) => {
        $(#[doc = $doc])*
        #[inline(never)]
        #[unsafe(no_mangle)]
        // SAFETY: nothing else is in the section, and it holds code.
        #[unsafe(link_section = $section)]
        pub extern "C" fn $name($($argument: $type),*) -> u32 {
            let result: u64;
            #[cfg(target_arch = "bpf")]
            // SAFETY: sets one register.
            unsafe {
                core::arch::asm!(
                    $(concat!("{result} = {", stringify!($argument), "}"),)*
                    concat!("{result} = ", $number),
                    result = out(reg) result,
                    $($argument = in(reg) $argument as u64,)*
                    options(nostack),
                );
            }
            #[cfg(not(target_arch = "bpf"))]
            {
                let _ = ($($argument),*);
                result = 0;
            }
            result as u32
        }
    };
}

pub(crate) use stand_in;
