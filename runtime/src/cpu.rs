//! What the processor offers: instruction sets, the number of cores, and where threads run.

use std::io;
use std::sync::OnceLock;
use std::thread::JoinHandle;

/// Instruction sets that kernels choose between. All false on other processors than x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuFeatures {
    /// 256-bit integer vectors.
    pub avx2: bool,
    /// Fused multiply-add on 256-bit vectors.
    pub fma: bool,
    /// Conversion between 16-bit and 32-bit floats.
    pub f16c: bool,
    /// 512-bit vectors: the F, BW, DQ and VL sets together.
    pub avx512: bool,
    /// 8-bit dot products on 512-bit vectors.
    pub avx512_vnni: bool,
    /// AES rounds.
    pub aes: bool,
    /// SHA-1 and SHA-256 rounds.
    pub sha: bool,
}

impl CpuFeatures {
    /// What the processor and the operating system together allow; the standard library caches it,
    /// so that asking is cheap.
    #[cfg(target_arch = "x86_64")]
    pub fn detect() -> CpuFeatures {
        CpuFeatures {
            avx2: is_x86_feature_detected!("avx2"),
            fma: is_x86_feature_detected!("fma"),
            f16c: is_x86_feature_detected!("f16c"),
            avx512: is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl"),
            avx512_vnni: is_x86_feature_detected!("avx512vnni"),
            aes: is_x86_feature_detected!("aes"),
            sha: is_x86_feature_detected!("sha"),
        }
    }

    /// Nothing, on this processor.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn detect() -> CpuFeatures {
        CpuFeatures::default()
    }
}

/// The number of cores this process may use, its affinity and control group considered; at least 1.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// Where the process's threads might run before the first of them was pinned.
static ALLOWED: OnceLock<libc::cpu_set_t> = OnceLock::new();

fn allowed() -> io::Result<libc::cpu_set_t> {
    if let Some(allowed) = ALLOWED.get() {
        return Ok(*allowed);
    }
    // SAFETY: a set of bits, for which all zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the size given.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(*ALLOWED.get_or_init(|| set))
}

fn set_affinity(set: &libc::cpu_set_t) -> io::Result<()> {
    // SAFETY: the kernel reads the set, of the size given.
    if unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Binds the calling thread to the `index`th core that the process may use.
pub(crate) fn pin_to_core(index: usize) -> io::Result<()> {
    let allowed = allowed()?;
    // SAFETY: `CPU_ISSET` reads the bit of an index inside the set.
    let is_allowed = |core: &usize| unsafe { libc::CPU_ISSET(*core, &allowed) };
    let Some(core) = (0..libc::CPU_SETSIZE as usize).filter(is_allowed).nth(index) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("there is no core {index}")));
    };
    // SAFETY: a set of bits, for which all zero is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `core` is an index inside the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    set_affinity(&set)
}

/// Starts a thread that may run on every core, even when the calling thread, from which it would
/// inherit, is pinned to one.
pub(crate) fn spawn_unpinned(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(crate::executor::STACK_BYTES);
    builder.spawn(move || {
        if let Some(allowed) = ALLOWED.get()
            && let Err(error) = set_affinity(allowed)
        {
            tracing::debug!(%error, "the thread stays on its parent's core");
        }
        work();
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pinned thread runs on one core; one that it starts, on all of them again.
    #[test]
    fn pinning_is_not_inherited() {
        let before = cores();
        let pinned = std::thread::spawn(move || {
            pin_to_core(0).unwrap();
            assert_eq!(cores(), 1);
            spawn_unpinned("unpinned", move || assert_eq!(cores(), before)).unwrap().join().unwrap();
            assert!(pin_to_core(1 << 20).is_err());
        });
        pinned.join().unwrap();
    }
}
