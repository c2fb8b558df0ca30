//! The three file tools, and every way out of the workspace that we know of.

use std::{
    fs,
    os::unix::fs::symlink,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use crate::client::Client;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn path(path: &str) -> Value {
    json!({ "path": path })
}

#[test]
fn what_is_written_is_read_back_and_listed() {
    let mut client = Client::start(&[]);
    let content = "grüße\u{1}\"\\\n日本\u{1f600}\r\n";
    let size = content.len();
    let file = json!({ "path": "a/b/c.txt", "content": content });
    client.call("write_file", &file).expect_text(&format!("Created a/b/c.txt ({size} bytes)."));
    client.call("write_file", &file).expect_text(&format!("Replaced a/b/c.txt ({size} bytes)."));
    client.call("read_file", &path("a/b/c.txt")).expect_text(content);
    client.call("list_files", &json!({})).expect_text("dir   a/\n");
    client
        .call("list_files", &json!({ "path": "a", "recursive": true }))
        .expect_text(&format!("dir   b/\nfile  b/c.txt  {size}\n"));
}

#[test]
fn an_absolute_path_below_the_root_is_taken() {
    let mut client = Client::start(&[]);
    fs::write(client.root().join("a"), "inside").expect("written");
    let absolute = client.root().join("a");
    client.call("read_file", &path(absolute.to_str().expect("UTF-8"))).expect_text("inside");
}

#[test]
fn long_text_is_cut_with_a_notice_of_where_to_go_on() {
    let mut client = Client::start(&["--max-read-bytes", "16"]);
    fs::write(client.root().join("log"), "line one\nline two\nline three\n").expect("written");
    let first = client.call("read_file", &path("log"));
    let notice = "[Lines 1 to 1; the file goes on, 29 bytes in all. Next offset: 2.]";
    first.expect_text(&format!("line one\n\n{notice}"));
    let blocks = first.0["content"].as_array().expect("content");
    assert_eq!((blocks.len(), &blocks[0]["text"]), (2, &json!("line one\n")));
    let last = client.call("read_file", &json!({ "path": "log", "offset": 3 }));
    last.expect_text("line three\n");
    let bytes = json!({ "path": "log", "offset": 5, "limit": 4, "unit": "bytes" });
    let part = client.call("read_file", &bytes);
    part.expect_text("one\n\n[Bytes 5 to 9 of 29. Next offset: 9.]");
}

#[test]
fn an_image_is_returned_as_one() {
    let mut client = Client::start(&["--max-image-bytes", "20"]);
    fs::write(client.root().join("shot.bin"), PNG).expect("written");
    let image = client.call("read_file", &path("shot.bin"));
    let expected = json!([{ "type": "image", "data": "iVBORw0KGgoAAAANSUhEUg==", "mimeType": "image/png" }]);
    assert_eq!(image.0["content"], expected);

    fs::write(client.root().join("big.png"), [PNG, &[0; 9]].concat()).expect("written");
    client.call("read_file", &path("big.png")).expect_error("above the limit of 20 bytes");
}

#[test]
fn what_is_not_text_is_refused_with_advice() {
    let mut client = Client::start(&[]);
    fs::write(client.root().join("blob"), b"\x7fELF\0\xff").expect("written");
    client.fifo("pipe");
    symlink("loop", client.root().join("loop")).expect("linked");
    client.call("read_file", &path("blob")).expect_error("blob is a binary file of 6 bytes");
    client.call("read_file", &path("pipe")).expect_error("not a regular file");
    client.call("read_file", &path(".")).expect_error("is a directory");
    client.call("read_file", &path("none")).expect_error("none does not exist. list_files");
    client.call("read_file", &path("loop")).expect_error("loop");
    client.call("list_files", &path("blob")).expect_error("not a directory");
    let into_pipe = json!({ "path": "pipe", "content": "x" });
    client.call("write_file", &into_pipe).expect_error("not a regular file");
    client.call("list_files", &json!({})).expect_text("file  blob  6\nlink  loop -> loop\nother  pipe  0\n");
}

#[test]
fn no_path_leads_out_of_the_workspace() {
    let mut client = Client::start(&[]);
    let outside = client.folder.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("secret"), "secret").expect("written");
    let root = client.root();
    fs::create_dir(root.join("dir")).expect("made");
    symlink("/etc/passwd", root.join("passwd")).expect("linked");
    symlink("/etc", root.join("etc")).expect("linked");
    symlink("../outside", root.join("up")).expect("linked");
    symlink("up", root.join("chained")).expect("linked");
    symlink("../../outside/secret", root.join("dir/deep")).expect("linked");
    symlink("/proc/self/root", root.join("magic")).expect("linked");

    let escapes = [
        "../outside/secret",
        "dir/../../outside/secret",
        "dir/../../ws/../outside/secret",
        "./../outside/secret",
        "/etc/passwd",
        "//etc/passwd",
        "ROOT/../outside/secret",
        "passwd",
        "etc/passwd",
        "up/secret",
        "chained/secret",
        "dir/deep",
        "magic/etc/passwd",
        "..",
        "/",
    ];
    for escape in escapes {
        let escape = escape.replace("ROOT", root.to_str().expect("UTF-8"));
        client.call("read_file", &path(&escape)).expect_error("outside of the workspace");
        let write = json!({ "path": escape, "content": "owned" });
        let written = client.call("write_file", &write);
        assert!(written.is_error(), "{escape}: {:?}", written.0);
        assert!(client.call("list_files", &path(&escape)).is_error(), "{escape}");
        let run = json!({ "command": "pwd", "cwd": escape });
        assert!(client.call("execute_command", &run).is_error(), "{escape}");
    }
    for fresh in ["../new", "up/new", "chained/sub/new", "up/sub/new"] {
        let write = json!({ "path": fresh, "content": "owned" });
        client.call("write_file", &write).expect_error("outside of the workspace");
    }
    let beside: Vec<_> = fs::read_dir(&outside).expect("listed").flatten().collect();
    assert_eq!(beside.len(), 1, "something was made outside");
    assert_eq!(fs::read_to_string(outside.join("secret")).expect("it is there"), "secret");
    assert!(!client.folder.path().join("new").exists());
}

/// Stops the swapping when it goes, also when an assertion failed.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_directory_that_is_swapped_for_a_link_meanwhile_leads_nowhere_else() {
    let mut client = Client::start(&[]);
    let outside = client.folder.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("file"), "outside").expect("written");
    let root = client.root();
    fs::create_dir(root.join("swap")).expect("made");
    fs::write(root.join("swap/file"), "inside").expect("written");
    symlink(&outside, root.join("other")).expect("linked");

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let (a, b) = (root.join("swap"), root.join("other"));
                renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).expect("swapped");
            }
        });
        let _stop = Stop(&stop);
        let mut inside = 0;
        for _ in 0..300 {
            let read = client.call("read_file", &path("swap/file"));
            assert!(read.is_error() || read.text() == "inside", "{:?}", read.0);
            inside += u32::from(!read.is_error());
            let write = json!({ "path": "swap/new", "content": "x" });
            client.call("write_file", &write);
            let listing = client.call("list_files", &path("swap"));
            // What is outside has seven bytes, and what is inside six.
            assert!(!listing.text().contains("file  file  7"), "{:?}", listing.0);
        }
        assert!(inside > 0, "the race was never won by the directory");
    });
    assert!(!outside.join("new").exists(), "a file was written outside");
    assert_eq!(fs::read_to_string(outside.join("file")).expect("it is there"), "outside");
}

#[test]
fn the_largest_content_fits_and_one_byte_more_is_refused() {
    let mut client = Client::start(&["--max-write-bytes", "100000"]);
    // Each of these bytes takes six in JSON.
    let largest = json!({ "path": "big", "content": "\u{1}".repeat(100_000) });
    client.call("write_file", &largest).expect_text("Created big (100000 bytes).");
    let larger = json!({ "path": "big", "content": "x".repeat(100_001) });
    client.call("write_file", &larger).expect_error("takes at most 100000");
}
