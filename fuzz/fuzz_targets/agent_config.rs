//! The agent's configuration, and the addresses in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_agent::config::AgentConfig;
use touchmark_agent::http::Endpoint;
use touchmark_fuzz::told;

fuzz_target!(|text: &str| {
    if let Some(endpoint) = told(text.parse::<Endpoint>()) {
        assert_eq!(endpoint.to_string().parse::<Endpoint>().as_ref(), Ok(&endpoint));
    }
    if let Some(config) = told(AgentConfig::parse(text, "agent.toml")) {
        assert!((10..=86_400_000).contains(&config.heartbeat_ms));
        assert!(config.flash.is_some() != config.state_dir.is_some());
    }
});
