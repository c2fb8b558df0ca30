use super::While;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socket_with};

/// Brings up the loopback interface of a new network namespace: its only one.
pub(super) fn bring_up() -> Result<(), String> {
    // Protocol 0 is that of routes.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).when("netlink")?;
    send(&socket, &set_up_request(), SendFlags::empty()).when("bringing up the loopback interface")?;
    Ok(())
}

/// `RTM_NEWLINK` for interface 1 with `IFF_UP`: a `nlmsghdr` and an `ifinfomsg`, as rtnetlink(7) has them.
fn set_up_request() -> [u8; 32] {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    let mut message = [0; 32];
    message[0..4].copy_from_slice(&32_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message[20..24].copy_from_slice(&1_i32.to_ne_bytes());
    message[24..28].copy_from_slice(&IFF_UP.to_ne_bytes());
    message[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    message
}
