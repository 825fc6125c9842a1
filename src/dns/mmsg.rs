//! Datagrams in batches: `recvmmsg` and `sendmmsg` with the local address of each packet, so that a reply leaves
//! from the address that was asked. The only unsafe code of the product; every pointer that the kernel gets is
//! made in the call that hands it over and points into buffers that `self` owns.
#![allow(unsafe_code)]
// The lengths in libc's headers are 32 bits wide with musl.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use libc::{
    c_int, c_uint, c_void, cmsghdr, in_pktinfo, in6_pktinfo, iovec, mmsghdr, sockaddr_in, sockaddr_in6,
    sockaddr_storage, socklen_t,
};

/// Packets that one system call takes: enough to spread its cost, few enough to stay in the cache.
pub const BATCH: usize = 32;
/// The longest query that is read whole. Only updates are longer than 512 bytes, and they belong on TCP.
pub const MAX_QUERY: usize = 4096;

/// Room for one control message of the larger packet information.
const CONTROL: usize = 64;

/// Aligned as `cmsghdr` must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Buffers for one batch, used again and again.
pub struct Batch {
    packets: Box<[[u8; MAX_QUERY]; BATCH]>,
    /// Where each packet came from.
    peers: [sockaddr_storage; BATCH],
    /// Where each packet was sent to, as the kernel told and wants to hear it back.
    controls: [Control; BATCH],
    lengths: [usize; BATCH],
    peer_lengths: [socklen_t; BATCH],
    control_lengths: [usize; BATCH],
}

impl Default for Batch {
    fn default() -> Self {
        // SAFETY: sockaddr_storage is plain old data for which all zeroes is a valid value.
        let blank: sockaddr_storage = unsafe { mem::zeroed() };
        Batch {
            packets: Box::new([[0; MAX_QUERY]; BATCH]),
            peers: [blank; BATCH],
            controls: [Control([0; CONTROL]); BATCH],
            lengths: [0; BATCH],
            peer_lengths: [0; BATCH],
            control_lengths: [0; BATCH],
        }
    }
}

/// Asks the kernel for the local address of each packet where the socket is bound to all of them; one that is
/// bound to a single address replies from it anyway, and is spared the work. Forbids path MTU discovery, whose
/// forged messages would make us fragment (RFC 9715 appendix A).
pub fn prepare(socket: &UdpSocket) -> io::Result<()> {
    let address = socket.local_addr()?;
    let [local, discover] = match address {
        SocketAddr::V4(_) => {
            [(libc::IPPROTO_IP, libc::IP_PKTINFO, 1), (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)]
        }
        SocketAddr::V6(_) => [
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
        ],
    };
    let options: &[(c_int, c_int, c_int)] =
        if address.ip().is_unspecified() { &[local, discover] } else { &[discover] };
    for &(level, name, value) in options {
        // SAFETY: the descriptor is open as long as `socket` is borrowed; the value is a c_int of the given size.
        let result = unsafe {
            let value: *const c_int = &value;
            libc::setsockopt(socket.as_raw_fd(), level, name, value.cast(), mem::size_of::<c_int>() as socklen_t)
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

impl Batch {
    /// Waits for one packet, takes what else is there, and returns how many came.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let mut vectors = [const { MaybeUninit::<iovec>::uninit() }; BATCH];
        let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; BATCH];
        for at in 0..BATCH {
            let vector = vectors[at]
                .write(iovec { iov_base: self.packets[at].as_mut_ptr().cast::<c_void>(), iov_len: MAX_QUERY });
            // SAFETY: mmsghdr is plain old data for which all zeroes is a valid value.
            let header = headers[at].write(unsafe { mem::zeroed() });
            header.msg_hdr.msg_name = ptr::from_mut(&mut self.peers[at]).cast();
            header.msg_hdr.msg_namelen = mem::size_of::<sockaddr_storage>() as socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = self.controls[at].0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
        }
        // SAFETY: every header is initialised above and points to buffers of the stated sizes, which live in
        // `self` and in this frame until the call returns.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                BATCH as c_uint,
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?.min(BATCH);
        for (at, header) in headers.iter().enumerate().take(count) {
            // SAFETY: initialised above.
            let header = unsafe { header.assume_init_ref() };
            self.lengths[at] = (header.msg_len as usize).min(MAX_QUERY);
            self.peer_lengths[at] = header.msg_hdr.msg_namelen;
            self.control_lengths[at] = (header.msg_hdr.msg_controllen as usize).min(CONTROL);
            self.forget_interface(at);
        }
        Ok(count)
    }

    /// A packet of the last batch.
    pub fn packet(&self, at: usize) -> &[u8] {
        &self.packets[at][..self.lengths[at]]
    }

    /// Who sent a packet of the last batch.
    pub fn peer(&self, at: usize) -> Option<SocketAddr> {
        let storage: *const sockaddr_storage = &self.peers[at];
        let length = self.peer_lengths[at] as usize;
        match c_int::from(self.peers[at].ss_family) {
            libc::AF_INET if length >= mem::size_of::<sockaddr_in>() => {
                // SAFETY: the family says that the storage, which is larger and aligned for it, holds this type.
                let address = unsafe { *storage.cast::<sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
                Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
            }
            libc::AF_INET6 if length >= mem::size_of::<sockaddr_in6>() => {
                // SAFETY: as above.
                let address = unsafe { *storage.cast::<sockaddr_in6>() };
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, u16::from_be(address.sin6_port), 0, address.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    /// Sends replies to packets of the last batch, each with its number in it. Returns how many could not be sent,
    /// and the last reason.
    pub fn send<'r>(
        &self,
        socket: &UdpSocket,
        replies: impl Iterator<Item = (usize, &'r [u8])>,
    ) -> (usize, Option<io::Error>) {
        let mut vectors = [const { MaybeUninit::<iovec>::uninit() }; BATCH];
        let mut headers = [const { MaybeUninit::<mmsghdr>::uninit() }; BATCH];
        let mut count = 0;
        for (at, bytes) in replies.take(BATCH) {
            let vector = vectors[count]
                .write(iovec { iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(), iov_len: bytes.len() });
            // SAFETY: mmsghdr is plain old data for which all zeroes is a valid value.
            let header = headers[count].write(unsafe { mem::zeroed() });
            header.msg_hdr.msg_name = ptr::from_ref(&self.peers[at]).cast_mut().cast();
            header.msg_hdr.msg_namelen = self.peer_lengths[at];
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            if self.control_lengths[at] > 0 {
                header.msg_hdr.msg_control = self.controls[at].0.as_ptr().cast_mut().cast();
                header.msg_hdr.msg_controllen = self.control_lengths[at] as _;
            }
            count += 1;
        }
        let (mut sent, mut failed, mut reason) = (0, 0, None);
        while sent < count {
            // SAFETY: headers `sent..count` are initialised above; the kernel only reads through their pointers,
            // which lead to `self` and to the replies, all borrowed until the call returns.
            let result = unsafe {
                libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().add(sent).cast(), (count - sent) as c_uint, 0)
            };
            match usize::try_from(result) {
                Ok(done) if done > 0 => sent += done,
                _ => {
                    let error = io::Error::last_os_error();
                    if error.kind() != io::ErrorKind::Interrupted {
                        // The first of the rest is the one that failed; the others still go out.
                        sent += 1;
                        failed += 1;
                        reason = Some(error);
                    }
                }
            }
        }
        (failed, reason)
    }

    /// Keeps of the control message the local address only: routes choose the interface, as for any packet.
    fn forget_interface(&mut self, at: usize) {
        let control = &mut self.controls[at].0;
        let mut kept = 0;
        if self.control_lengths[at] >= mem::size_of::<cmsghdr>() {
            let first: *mut u8 = control.as_mut_ptr();
            // SAFETY: `Control` is aligned for cmsghdr and at least as large; the kernel wrote one there.
            let header = unsafe { &*first.cast::<cmsghdr>() };
            let (level, kind, length) = (header.cmsg_level, header.cmsg_type, header.cmsg_len as usize);
            // SAFETY: CMSG_LEN and CMSG_SPACE only compute; CMSG_DATA points right behind the header, and the
            // length that the kernel wrote says that the structure lies there. Writes are unaligned-safe.
            unsafe {
                let data = libc::CMSG_DATA(first.cast());
                let size_v4 = mem::size_of::<in_pktinfo>() as c_uint;
                let size_v6 = mem::size_of::<in6_pktinfo>() as c_uint;
                if (level, kind) == (libc::IPPROTO_IP, libc::IP_PKTINFO) && length >= libc::CMSG_LEN(size_v4) as usize {
                    let mut info = data.cast::<in_pktinfo>().read_unaligned();
                    info.ipi_ifindex = 0;
                    data.cast::<in_pktinfo>().write_unaligned(info);
                    kept = libc::CMSG_SPACE(size_v4) as usize;
                } else if (level, kind) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                    && length >= libc::CMSG_LEN(size_v6) as usize
                {
                    let mut info = data.cast::<in6_pktinfo>().read_unaligned();
                    // A link-local address means nothing without its interface.
                    if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                        info.ipi6_ifindex = 0;
                    }
                    data.cast::<in6_pktinfo>().write_unaligned(info);
                    kept = libc::CMSG_SPACE(size_v6) as usize;
                }
            }
        }
        self.control_lengths[at] = kept.min(CONTROL);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn pair(bind: &str, to: &str) -> (UdpSocket, UdpSocket, SocketAddr) {
        let server = UdpSocket::bind(bind).unwrap();
        prepare(&server).unwrap();
        let target = SocketAddr::new(to.parse::<IpAddr>().unwrap(), server.local_addr().unwrap().port());
        (server, UdpSocket::bind(bind).unwrap(), target)
    }

    #[test]
    fn a_reply_leaves_from_the_address_that_was_asked() {
        for (bind, to) in [("0.0.0.0:0", "127.0.0.77"), ("[::]:0", "::1")] {
            let (server, client, target) = pair(bind, to);
            client.send_to(b"one", target).unwrap();
            client.send_to(b"two", target).unwrap();
            let mut batch = Batch::default();
            let mut seen = 0;
            while seen < 2 {
                let count = batch.receive(&server).unwrap();
                for at in 0..count {
                    assert_eq!(batch.peer(at).unwrap().port(), client.local_addr().unwrap().port());
                    let echo = batch.packet(at).to_vec();
                    assert_eq!(batch.send(&server, std::iter::once((at, &echo[..]))).0, 0);
                }
                seen += count;
            }
            for expected in [b"one", b"two"] {
                let mut buffer = [0; 16];
                let (length, from) = client.recv_from(&mut buffer).unwrap();
                assert_eq!((&buffer[..length], from), (&expected[..], target));
            }
        }
    }

    #[test]
    fn one_reply_that_cannot_be_sent_does_not_stop_the_others() {
        let (server, client, target) = pair("127.0.0.1:0", "127.0.0.1");
        client.send_to(b"x", target).unwrap();
        let mut batch = Batch::default();
        assert_eq!(batch.receive(&server).unwrap(), 1);
        let too_long = vec![0; 70_000];
        let (failed, reason) = batch.send(&server, [(0, &too_long[..]), (0, b"after")].into_iter());
        assert_eq!((failed, reason.unwrap().raw_os_error()), (1, Some(libc::EMSGSIZE)));
        let mut buffer = [0; 16];
        assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    }
}
