//! What the checkout as a whole must keep to, as tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{cargo, root};

/// Who may depend on whom; arrows point up the list, never down.
const MAY_USE: &[(&str, &[&str])] = &[
    ("chatroom-protocol", &[]),
    ("chatroom-domain", &["chatroom-protocol"]),
    ("chatroom-failpoint", &[]),
    ("chatroom-memory", &[]),
    ("chatroom-streams", &[]),
    ("chatroom-tunnel", &[]),
    ("chatroom-store", &["chatroom-domain", "chatroom-protocol"]),
    ("chatroom-web", &[]),
    (
        "chatroom-server",
        &[
            "chatroom-store",
            "chatroom-streams",
            "chatroom-tunnel",
            "chatroom-web",
            "chatroom-domain",
            "chatroom-protocol",
            "chatroom-failpoint",
        ],
    ),
    ("chatroom-daemon", &["chatroom-failpoint", "chatroom-streams", "chatroom-tunnel", "chatroom-protocol"]),
    ("chatroom", &["chatroom-server", "chatroom-daemon", "chatroom-streams", "chatroom-protocol", "chatroom-memory"]),
    (
        "chatroom-testkit",
        &[
            "chatroom-protocol",
            "chatroom-domain",
            "chatroom-streams",
            "chatroom-tunnel",
            "chatroom-store",
            "chatroom-web",
            "chatroom-server",
            "chatroom-daemon",
        ],
    ),
    ("xtask", &[]),
];

/// Libraries that only some crates may name, so that what they bring stays behind a fence.
const FENCED: &[(&str, &[&str])] = &[
    ("sea-orm", &["chatroom-store"]),
    ("sea-orm-migration", &["chatroom-store"]),
    ("axum", &["chatroom-streams", "chatroom-tunnel", "chatroom-server", "chatroom-daemon", "chatroom-testkit"]),
];

#[test]
fn crates_depend_only_on_what_they_may() {
    let output = cargo(&["metadata", "--no-deps", "--format-version=1"]).output().expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeSet<&str> = packages.iter().map(|package| text(&package["name"])).collect();
    let may_use: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut broken = Vec::new();

    for package in packages {
        let name = text(&package["name"]);
        let Some(allowed) = may_use.get(name) else {
            broken.push(format!("{name} is not in the table of this test"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let used = text(&dependency["name"]);
            let for_tests = dependency["kind"] == "dev";
            let may = allowed.contains(&used) || (for_tests && used == "chatroom-testkit");
            if ours.contains(used) && !may {
                broken.push(format!("{name} must not depend on {used}"));
            }
            let fenced = FENCED.iter().find(|(library, _)| *library == used);
            if fenced.is_some_and(|(_, users)| !users.contains(&name)) && !for_tests {
                broken.push(format!("{name} must not name {used}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn every_rust_file_is_a_module_of_something() {
    let files: BTreeSet<PathBuf> = tracked().into_iter().filter(|path| is(path, "rs")).collect();
    let unlisted: Vec<_> = files.iter().filter(|file| !is_listed(file, &files)).collect();
    assert_eq!(unlisted, Vec::<&PathBuf>::new(), "no module names these files");
}

/// Whether cargo builds the file by itself, or a module beside or above it names it.
fn is_listed(file: &Path, files: &BTreeSet<PathBuf>) -> bool {
    let folder = file.parent().unwrap_or(Path::new(""));
    let folder_name = folder.file_name().unwrap_or_default();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let above = folder.parent().unwrap_or(Path::new(""));
    let of_crate = |name: &str| folder_name == name && root().join(above).join("Cargo.toml").exists();
    if ["main", "lib", "build"].contains(&&*stem)
        || ["tests", "benches", "examples"].into_iter().any(of_crate)
        || folder.ends_with("src/bin")
    {
        return true;
    }
    // `noun/mod.rs` is named where `noun` would be.
    let (name, folder) = if stem == "mod" { (folder_name.to_string_lossy(), above) } else { (stem, folder) };
    let namers = ["main.rs", "lib.rs", "mod.rs"].map(|namer| folder.join(namer));
    let beside = folder.with_extension("rs");
    let own_path = format!("#[path = \"{}\"]", file.file_name().unwrap_or_default().display());
    namers.iter().chain([&beside]).filter(|namer| files.contains(*namer)).any(|namer| {
        let source = fs::read_to_string(root().join(namer)).unwrap_or_default();
        source.lines().any(|line| line.ends_with(&format!("mod {name};")) || line.trim() == own_path)
    })
}

#[test]
fn the_pure_crates_read_no_environment() {
    let pure = ["crates/protocol/src", "crates/domain/src", "crates/store/src"];
    let reading: Vec<_> = tracked()
        .into_iter()
        .filter(|path| is(path, "rs") && pure.iter().any(|folder| path.starts_with(folder)))
        .filter(|path| contents(path).contains("env::var"))
        .collect();
    assert_eq!(reading, Vec::<PathBuf>::new(), "settings come in as arguments");
}

#[test]
fn nothing_names_one_machine() {
    let checkout = root().canonicalize().expect("the checkout");
    let mut needles = vec![checkout.display().to_string()];
    if let Some(above) = checkout.parent().filter(|above| !is_ordinary(above)) {
        needles.push(format!("{}/", above.display()));
    }
    if let Some(home) = std::env::home_dir().filter(|home| home.parent().is_some()) {
        needles.push(format!("{}/.", home.display()));
    }
    let mut found = Vec::new();
    for path in tracked() {
        let text = contents(&path);
        let needle = needles.iter().find(|needle| text.contains(needle.as_str()));
        found.extend(needle.map(|needle| format!("{} has {needle}", path.display())));
        if path.ends_with("package-lock.json") && text.contains("\"resolved\": \"http") {
            found.push(format!("{} records download addresses", path.display()));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

/// Whether a folder has the same name on many machines, so that naming it says nothing.
fn is_ordinary(folder: &Path) -> bool {
    let ordinary = ["/", "/home", "/mnt", "/opt", "/root", "/src", "/srv", "/tmp", "/usr/src", "/var/tmp"];
    ordinary.iter().any(|name| folder == Path::new(name)) || folder == std::env::temp_dir()
}

/// Returns every file that is committed or about to be, relative to the root.
fn tracked() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.current_dir(root()).output().expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", output.status);
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let files: BTreeSet<PathBuf> = names.split_terminator('\0').map(PathBuf::from).collect();
    assert!(!files.is_empty(), "git lists no files");
    files.into_iter().filter(|path| root().join(path).is_file()).collect()
}

/// Returns a file's text, nothing for what is not text.
fn contents(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
