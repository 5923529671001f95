//! Where to keep a device's key: options ranked, each with the rules and sources behind it.
