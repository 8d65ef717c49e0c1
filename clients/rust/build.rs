//! Generates the stubs. It needs no protoc: protox reads the contract, of which this crate has a copy.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("proto");
    println!("cargo::rerun-if-changed={}", root.display());

    let mut files = fs::read_dir(root.join("gigagate/v1"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>, std::io::Error>>()?;
    files.sort();
    let contract = protox::compile(files, [root])?;

    // For programs that read or write the contract's JSON: examples/scenario.rs does.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("gigagate.bin"), contract.encode_to_vec())?;

    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(contract)?;
    Ok(())
}
