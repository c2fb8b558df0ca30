//! The accounts of a sandbox: one for each MCP server that may run in it.
//!
//! The image's `/etc/passwd` and `/etc/group` are links into a directory that only the holder can write to, since the
//! image is read-only and the numbers of a sandbox's users are not known when it is built.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

const FIXED_USERS: &str = "root:x:0:0:root:/:/bin/false\nholder:x:65532:65532:holder:/:/bin/false\n\
    nobody:x:65534:65534:nobody:/:/bin/false\n";
const FIXED_GROUPS: &str = "root:x:0:\nholder:x:65532:\nnogroup:x:65534:\n";

/// Writes `passwd` and `group` into `directory`: the group `workspace` has the number `first`, and the users `mcp1` to
/// `mcpN` the numbers that follow it.
pub(crate) fn write(directory: &Path, first: u32, servers: u32) -> Result<()> {
    for (name, content) in [("passwd", passwd(first, servers)), ("group", group(first, servers))] {
        let path = directory.join(name);
        fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn passwd(first: u32, servers: u32) -> String {
    (1..=servers).fold(FIXED_USERS.to_owned(), |mut text, index| {
        let id = first.saturating_add(index);
        let _ = writeln!(text, "mcp{index}:x:{id}:{id}:MCP server {index}:/home/{index}:/bin/sh");
        text
    })
}

fn group(first: u32, servers: u32) -> String {
    let members: Vec<String> = (1..=servers).map(|index| format!("mcp{index}")).collect();
    let fixed = format!("{FIXED_GROUPS}workspace:x:{first}:{}\n", members.join(","));
    (1..=servers).fold(fixed, |mut text, index| {
        let _ = writeln!(text, "mcp{index}:x:{}:", first.saturating_add(index));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_user_and_a_group() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        write(folder.path(), 100_000, 2).expect("written");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("written");
        let (passwd, group) = (read("passwd"), read("group"));
        assert!(passwd.ends_with(
            "mcp1:x:100001:100001:MCP server 1:/home/1:/bin/sh\nmcp2:x:100002:100002:MCP server 2:/home/2:/bin/sh\n"
        ));
        assert!(group.ends_with("workspace:x:100000:mcp1,mcp2\nmcp1:x:100001:\nmcp2:x:100002:\n"), "{group}");
    }
}
