//! Builds the web app with Node and writes down what it consists of.
//!
//! The sources are copied into the build folder first, so that a checkout never holds `node_modules` or a build.
//! A newcomer would get wrong that every input has to be named to cargo: one that is not leaves an old app embedded.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names a folder with a built app, or says `none`.
const PREBUILT: &str = "CHATROOM_WEB_DIST";
/// What the app is made of, in its folder.
const INPUTS: [&str; 7] =
    [".npmrc", "index.html", "package.json", "package-lock.json", "public", "src", "vite.config.ts"];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo names no OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={PREBUILT}");
    let dist = match env::var_os(PREBUILT) {
        Some(none) if none == "none" => None,
        Some(folder) => {
            let folder = PathBuf::from(folder);
            println!("cargo::rerun-if-changed={}", folder.display());
            if !folder.join("index.html").is_file() {
                return Err(format!("{PREBUILT} names {}, which holds no index.html", folder.display()).into());
            }
            Some(folder.canonicalize()?)
        }
        None => Some(build(&out)?),
    };
    let mut files = Vec::new();
    if let Some(dist) = &dist {
        list(dist, dist, &mut files)?;
        files.sort();
    }
    fs::write(out.join("assets.rs"), table(dist.as_deref(), &files)?)?;
    Ok(())
}

/// Builds the app and returns the folder it is in.
fn build(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let from = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo names no folder")?).join("app");
    let app = out.join("app");
    fs::create_dir_all(&app)?;
    for input in INPUTS {
        println!("cargo::rerun-if-changed=app/{input}");
        let (from, to) = (from.join(input), app.join(input));
        if to.is_dir() {
            fs::remove_dir_all(&to)?;
        }
        copy(&from, &to)?;
    }
    // What is installed is good for as long as the lock file says the same.
    let lock = fs::read(app.join("package-lock.json"))?;
    let stamp = app.join("node_modules/.installed");
    if fs::read(&stamp).ok().as_ref() != Some(&lock) {
        npm(&app, &["ci"])?;
        fs::write(&stamp, &lock)?;
    }
    npm(&app, &["run", "build"])?;
    Ok(app.join("dist"))
}

fn npm(app: &Path, args: &[&str]) -> Result<(), Box<dyn Error>> {
    let without =
        format!("Or set {PREBUILT} to a folder with a built app, or to `none` to build chatroom without its web app");
    let output = Command::new("npm").args(args).arg("--loglevel=error").current_dir(app).output().map_err(|error| {
        format!(
            "the web app is built with Node 20.19 or newer, and `npm` cannot be run ({error}). Install Node. {without}"
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(format!(
        "`npm {}` failed in the web app, which wants Node 20.19 or newer. {without}\n{out}{err}",
        args.join(" ")
    )
    .into())
}

fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    if !from.is_dir() {
        fs::copy(from, to).map_err(|error| format!("{} cannot be copied: {error}", from.display()))?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Lists the files below a folder, with `/` between the parts of a path.
fn list(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else {
            let parts: Vec<_> = path.strip_prefix(root)?.iter().map(OsStr::to_string_lossy).collect();
            files.push(parts.join("/"));
        }
    }
    Ok(())
}

/// Writes the table of what is embedded. `x.br` is `x`, compressed with Brotli.
fn table(dist: Option<&Path>, files: &[String]) -> Result<String, Box<dyn Error>> {
    let mut table = String::from("[\n");
    for file in files.iter().filter(|file| Path::new(file).extension() != Some(OsStr::new("br"))) {
        let dist = dist.ok_or("there is no app")?;
        let include = |file: &str| format!("include_bytes!({:?})", dist.join(file).display().to_string());
        let packed = format!("{file}.br");
        let packed = if files.contains(&packed) { format!("Some({})", include(&packed)) } else { "None".to_owned() };
        writeln!(
            table,
            "Asset {{ path: {file:?}, bytes: {}, brotli: {packed}, tag: \"\\\"{:016x}\\\"\" }},",
            include(file),
            digest(&fs::read(dist.join(file))?)
        )?;
    }
    table.push(']');
    Ok(table)
}

/// FNV-1a, 64 bits: tells one build of a file from another.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
