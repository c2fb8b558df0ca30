//! What runs inside and misbehaves. It says how far it got.

use std::{
    ffi::OsString,
    fs::File,
    io::Write,
    net::{TcpStream, ToSocketAddrs, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    process::{Command, ExitCode},
    time::Duration,
};

pub(crate) const ARGUMENT: &str = "__abuse";

pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<String> = arguments.map(|argument| argument.into_string().expect("text")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["tcp", address] => {
            let address = address.to_socket_addrs().expect("an address").next().expect("one");
            connected(TcpStream::connect_timeout(&address, Duration::from_secs(2)));
        }
        ["udp", address] => connected(UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", address))),
        ["unix", path] => connected(UnixStream::connect(path)),
        ["abstract", name] => {
            connected(SocketAddr::from_abstract_name(name).and_then(|name| UnixStream::connect_addr(&name)));
        }
        ["listen", name] => listen(name),
        ["processes"] => processes(),
        ["memory"] => memory(),
        ["files"] => files(),
        ["fill", mebibytes] => fill(mebibytes.parse().expect("a number")),
        ["fill-many"] => fill_many(),
        _ => return ExitCode::from(64),
    }
    ExitCode::SUCCESS
}

fn connected<T>(outcome: std::io::Result<T>) {
    match outcome {
        Ok(_) => println!("connected"),
        Err(error) => println!("refused: {error}"),
    }
}

/// Listens on an abstract socket until its input ends, where it may make sockets.
fn listen(name: &str) {
    let _listener = SocketAddr::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name));
    println!("ready");
    drop(std::io::read_to_string(std::io::stdin()));
}

fn processes() {
    let mut running = Vec::new();
    while let Ok(child) = Command::new("sleep").arg("1000").spawn() {
        running.push(child);
        println!("{}", running.len());
    }
}

fn memory() {
    let mut held = Vec::new();
    for step in 1.. {
        held.push(vec![1_u8; 1 << 20]);
        println!("{step}");
    }
}

fn files() {
    let mut open = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        open.push(file);
    }
    // There is no descriptor left for anything but what is open already.
    println!("{}", open.len());
}

fn fill(mebibytes: usize) {
    let mut file = File::create("filler").expect("create");
    let block = vec![1_u8; 1 << 20];
    for step in 0..mebibytes {
        println!("{step}");
        if let Err(error) = file.write_all(&block) {
            println!("refused: {error}");
            return;
        }
    }
}

fn fill_many() {
    let block = vec![1_u8; 1 << 20];
    for step in 0..4096 {
        println!("{step}");
        if let Err(error) = std::fs::write(format!("filler-{step}"), &block) {
            println!("refused: {error}");
            return;
        }
    }
}
