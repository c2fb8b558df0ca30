//! What the server, the launcher and the stages of the launcher tell each other, over a socket that is each one's
//! standard input: a launch with the command's three streams one way, reports the other way.

use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
        recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// The largest launch that is accepted: arguments and environment cannot be larger than the kernel's own limit anyway.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// How a sandbox is isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Variant {
    Bubblewrap,
    Namespaces,
    Landlock,
    Plain,
}

impl Variant {
    /// Whether commands have a file system tree of their own.
    pub(crate) fn has_root(self) -> bool {
        matches!(self, Self::Bubblewrap | Self::Namespaces)
    }
}

/// One entry of a sandbox's file system tree, in the order in which they are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A file or directory of the host.
    Bind { source: PathBuf, target: PathBuf, writable: bool },
    /// A device of the host.
    Device { path: PathBuf },
    /// A symbolic link.
    Link { path: PathBuf, to: PathBuf },
    /// An empty file system in memory.
    Tmpfs { path: PathBuf, bytes: u64 },
    /// The processes of the sandbox.
    Proc { path: PathBuf },
    /// Nothing, in place of what an earlier entry shows there.
    Masked { path: PathBuf, is_directory: bool },
}

impl Entry {
    /// Where it is in the tree.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Bind { target: path, .. }
            | Self::Device { path }
            | Self::Link { path, .. }
            | Self::Tmpfs { path, .. }
            | Self::Masked { path, .. }
            | Self::Proc { path } => path,
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Per process, where no cgroup limits the whole.
    pub(crate) data_bytes: Option<u64>,
    /// Per user and user namespace, where that says something about the sandbox.
    pub(crate) processes: Option<u64>,
    pub(crate) open_files: u64,
    pub(crate) file_bytes: u64,
}

/// Everything that the launcher needs to know. It carries secrets, so it is not `Debug` and never on a command line.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) variant: Variant,
    /// The path of `bwrap`, for that variant.
    pub(crate) bubblewrap: Option<PathBuf>,
    /// The FIFO whose end of file stops the sandbox.
    pub(crate) fence: PathBuf,
    /// The `cgroup.procs` files to join.
    pub(crate) cgroups: Vec<PathBuf>,
    /// An empty directory on which a new root is mounted.
    pub(crate) mount_point: PathBuf,
    /// The tree, for variants that have one; what may be accessed, for Landlock.
    pub(crate) tree: Vec<Entry>,
    /// Whether the launcher is root and makes namespaces without a user namespace.
    pub(crate) privileged: bool,
    /// The user to become; `None` when the server is not root.
    pub(crate) uid: Option<u32>,
    pub(crate) limits: Limits,
    /// The working directory of the command, as it sees it.
    pub(crate) directory: PathBuf,
    pub(crate) command: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
}

/// What became of a launch. `Started` may be followed by one more; the others are the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    Started,
    CannotExec(String),
    Failed(String),
    Exited(i32),
    Signalled(i32),
}

/// A launch as it is sent.
pub(crate) fn encode_launch(launch: &Launch) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(launch)?;
    frame_length(&body)?;
    Ok(body)
}

/// Sends the length of `body` and the command's three streams; `body` itself is to follow.
pub(crate) fn send_head(mut socket: &UnixStream, body: &[u8], streams: &[OwnedFd; 3]) -> io::Result<()> {
    let length = frame_length(body)?;
    let fds = streams.each_ref().map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)), "the space is made for three descriptors");
    // The descriptors travel with the length, in one message that fits any socket's buffer.
    let sent = sendmsg(socket, &[IoSlice::new(&length)], &mut ancillary, SendFlags::NOSIGNAL)?;
    socket.write_all(&length[sent..])
}

/// Sends a launch and the command's three streams.
pub(crate) fn send_launch(mut socket: &UnixStream, launch: &Launch, streams: &[OwnedFd; 3]) -> io::Result<()> {
    let body = encode_launch(launch)?;
    send_head(socket, &body, streams)?;
    socket.write_all(&body)
}

/// Receives what [`send_launch`] sends.
pub(crate) fn receive_launch(mut socket: &UnixStream) -> io::Result<(Launch, [OwnedFd; 3])> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut length)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?.bytes,
        }
    };
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    socket.read_exact(&mut length[got..])?;
    let streams = <[OwnedFd; 3]>::try_from(fds).map_err(|_| io::Error::other("not three streams"))?;
    Ok((serde_json::from_slice(&read_body(socket, length)?)?, streams))
}

/// Writes one report.
pub(crate) fn send_report(mut socket: impl Write, report: &Report) -> io::Result<()> {
    let body = serde_json::to_vec(report)?;
    let mut frame = frame_length(&body)?.to_vec();
    frame.extend(body);
    socket.write_all(&frame)
}

/// Reads one report; `None` at the end.
pub(crate) fn receive_report(mut socket: &UnixStream) -> io::Result<Option<Report>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Ok(()) => Ok(Some(serde_json::from_slice(&read_body(socket, length)?)?)),
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long the body is that follows this length, if that is allowed.
pub(crate) fn body_length(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_MESSAGE_BYTES { Err(too_large()) } else { Ok(length) }
}

fn frame_length(body: &[u8]) -> io::Result<[u8; 4]> {
    if body.len() > MAX_MESSAGE_BYTES {
        return Err(too_large());
    }
    u32::try_from(body.len()).map(u32::to_be_bytes).map_err(|_| too_large())
}

fn read_body(mut socket: &UnixStream, length: [u8; 4]) -> io::Result<Vec<u8>> {
    let mut body = vec![0; body_length(length)?];
    socket.read_exact(&mut body)?;
    Ok(body)
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("command and environment exceed {MAX_MESSAGE_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_back_as_it_was_sent_and_the_end_is_seen() {
        let (one, other) = UnixStream::pair().expect("socket pair");
        for report in [Report::Started, Report::CannotExec("ä".into()), Report::Signalled(9)] {
            send_report(&one, &report).expect("send");
            assert_eq!(receive_report(&other).expect("receive"), Some(report));
        }
        drop(one);
        assert_eq!(receive_report(&other).expect("end"), None);
    }

    #[test]
    fn an_oversized_length_is_refused_before_memory_is_taken() {
        let (mut one, other) = UnixStream::pair().expect("socket pair");
        one.write_all(&u32::MAX.to_be_bytes()).expect("send");
        assert!(receive_report(&other).is_err());
    }
}
