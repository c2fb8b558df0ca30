//! What a program needs, by its ELF header (`elf(5)`).

use super::ImageError;
use std::{fs::File, io::Read as _, path::Path};

/// Where the program headers lie at the latest, for the programs that compilers make, in bytes.
const HEAD: u64 = 64 << 10;
const PT_INTERP: u32 = 3;

/// A program, as its header describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The processor that it is for, by the name that images use: `amd64`, `arm64`.
    pub architecture: &'static str,
    /// Whether it runs without a loader and libraries.
    pub is_static: bool,
}

/// Reads what the program at `path` needs.
pub fn program(path: &Path) -> Result<Program, ImageError> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(|source| ImageError::Unreadable { path: path.to_owned(), source })?;
    let unfit = |why: &str| ImageError::Unfit { path: path.to_owned(), why: why.to_owned() };
    parse(&head).map_err(unfit)
}

fn parse(head: &[u8]) -> Result<Program, &'static str> {
    // 64 bits, little-endian: what every processor that is known here has.
    if head.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err("is no program for 64-bit Linux");
    }
    let architecture = match number::<2>(head, 18) {
        Some(62) => "amd64",
        Some(183) => "arm64",
        Some(243) => "riscv64",
        _ => return Err("is a program for a processor that is not known here"),
    };
    let table = (number::<8>(head, 32), number::<2>(head, 54), number::<2>(head, 56));
    let (Some(start), Some(size), Some(count)) = table else { return Err("is a program that was cut off") };
    let types: Option<Vec<u64>> =
        (0..count).map(|at| number::<4>(head, start.checked_add(at.checked_mul(size)?)?)).collect();
    let types = types.ok_or("is a program that was cut off")?;
    Ok(Program { architecture, is_static: !types.contains(&PT_INTERP.into()) })
}

/// The little-endian number of `N` bytes at an offset.
fn number<const N: usize>(bytes: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let bytes = bytes.get(at..at.checked_add(N)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with program headers of these types.
    fn elf(machine: u8, types: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 64 + types.len() * 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = machine;
        head[32] = 64;
        head[54] = 56;
        head[56] = u8::try_from(types.len()).expect("few");
        for (at, kind) in types.iter().enumerate() {
            head[64 + at * 56] = *kind;
        }
        head
    }

    #[test]
    fn an_interpreter_makes_a_program_dynamic() {
        assert_eq!(parse(&elf(62, &[1, 1])), Ok(Program { architecture: "amd64", is_static: true }));
        assert_eq!(parse(&elf(183, &[6, 3, 1])), Ok(Program { architecture: "arm64", is_static: false }));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for bytes in [&b"#!/bin/sh\n"[..], b"", b"\x7fELF\x01\x01", &elf(8, &[]), &elf(62, &[1, 1])[..100]] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        let mut endless = elf(62, &[1]);
        endless[32..40].fill(0xff);
        assert!(parse(&endless).is_err());
    }

    #[test]
    fn this_test_is_a_program() {
        let itself = std::env::current_exe().expect("it runs");
        assert!(program(&itself).is_ok());
    }
}
