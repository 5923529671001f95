//! Gives the shared library the name under which programs look for it, and keeps it in memory once it is loaded: threads
//! that used it run destructors of it when they end, after a program may have unloaded it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libpcsclite.so.1");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
