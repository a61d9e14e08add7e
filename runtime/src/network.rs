//! The networks that the machine is on.

use std::io;
use std::net::IpAddr;
use std::ptr;

/// The addresses of the machine, each with its network's mask.
///
/// # Errors
/// What the operating system says.
pub fn networks() -> io::Result<Vec<(IpAddr, IpAddr)>> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the pointer is to memory that outlives the call.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut networks = Vec::new();
    let mut next = first;
    // SAFETY: the list's entries are valid until it is freed, and its last one has none behind it.
    while let Some(entry) = unsafe { next.as_ref() } {
        if let (Some(address), Some(mask)) = (address_of(entry.ifa_addr), address_of(entry.ifa_netmask)) {
            networks.push((address, mask));
        }
        next = entry.ifa_next;
    }
    // SAFETY: it was given by `getifaddrs`, and nothing points into it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(networks)
}

fn address_of(socket: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: what the system gives is null or an address whose family tells its layout.
    match i32::from(unsafe { socket.as_ref() }?.sa_family) {
        libc::AF_INET => {
            // SAFETY: of this family, it is a `sockaddr_in`.
            let address = unsafe { &*socket.cast::<libc::sockaddr_in>() };
            Some(IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()))
        }
        libc::AF_INET6 => {
            // SAFETY: of this family, it is a `sockaddr_in6`.
            let address = unsafe { &*socket.cast::<libc::sockaddr_in6>() };
            Some(IpAddr::from(address.sin6_addr.s6_addr))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_among_them() {
        let networks = networks().expect("readable");
        assert!(networks.contains(&([127, 0, 0, 1].into(), [255, 0, 0, 0].into())), "{networks:?}");
    }
}
