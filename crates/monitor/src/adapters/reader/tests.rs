//! Each format in samples of our own, in the shapes that its documentation gives (see the module of the format).

use proptest::prelude::*;

use super::*;
use touchmark_identity::event::canonical_dn;

const SHA256: &str = "0011223344556677889900112233445566778899001122334455667788990011";

fn read(format: Format, line: &str) -> Vec<Event> {
    let events = Reader::new(format, "gate").read(line.as_bytes()).unwrap();
    for event in &events {
        assert_eq!(Event::from_line(event.to_line().as_bytes()).as_ref(), Ok(event));
    }
    events
}

fn reason(format: Format, line: &str) -> &'static str {
    Reader::new(format, "gate").read(line.as_bytes()).unwrap_err().reason()
}

fn haproxy() -> String {
    format!(
        r#"{{"touchmark":"haproxy/1","id":"7F000001:9CE0_7F000001:1F90_69207AF8_0000:1F4","accepted":"1795212088.158","duration_ms":"44","src":"192.0.2.7","sport":"39402","used":"1","verify":"0","serial":"007668F969","subject_dn":"/O=Fleet/CN=m-1","cn":"m-1","issuer_dn":"/O=Fleet/CN=CA","sha1":"0B8D8080726AA7D379AACF2B3AF72F922598AA3B","sha256":"{}","tls":"TLSv1.3","resumed":"0","sni":"-","bytes_in":"31","bytes_out":"4","state":"--"}}"#,
        SHA256.to_uppercase()
    )
}

const EMQX: &str = r#"{"event":"client.connected","clientid":"c1","username":"m-1","peername":"192.0.2.7:56431","connected_at":1795212088154,"timestamp":1795212088155,"node":"emqx@127.0.0.1","proto_ver":5}"#;

fn aws(kind: &str) -> String {
    format!(
        r#"{{"clientId":"c1","timestamp":1795212088154,"eventType":"{kind}","sessionIdentifier":"s-1","principalIdentifier":"{SHA256}","ipAddress":"192.0.2.7","versionNumber":3,"disconnectReason":"DUPLICATE_CLIENTID"}}"#
    )
}

fn ecs() -> String {
    format!(
        r#"{{"@timestamp":"2026-11-20T22:01:28Z","event":{{"id":"e1","start":"2026-11-20T22:01:20Z","duration":8000000000}},"source":{{"ip":"192.0.2.7","port":4000,"bytes":5}},"tls.client.hash.sha256":"{SHA256}","tls":{{"version":"1.3","version_protocol":"tls","resumed":true,"client":{{"x509":{{"subject":{{"common_name":["m-1"]}}}}}}}}}}"#
    )
}

fn envoy(kind: &str, ms: u32) -> String {
    format!(
        r#"{{"touchmark":"envoy/1","log_type":"{kind}","start":"2026-11-20T22:01:20.000Z","duration_ms":{ms},"connection":4,"peer":"[2001:db8::7]:4000","sha256":"{SHA256}","serial":"7668f969","issuer_dn":"CN=CA,O=Fleet","subject_dn":"CN=m-1,O=Fleet","tls":"TLSv1.3","ja4":"t13d","sni":null,"bytes_in":5,"bytes_out":6,"flags":"-","failure":null}}"#
    )
}

#[test]
fn names_of_formats_are_read_and_written() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
        assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
    }
    let error = "squid".parse::<Format>().unwrap_err().to_string();
    for format in Format::ALL {
        assert!(error.contains(format.as_str()), "{error}");
    }
}

#[test]
fn haproxy_gives_beginning_and_end_and_one_form_of_each_name() {
    let events = read(Format::Haproxy, &haproxy());
    assert_eq!(
        events.iter().map(|e| e.body.type_name()).collect::<Vec<_>>(),
        ["authentication", "session_end"]
    );
    assert_eq!(events[0].time.to_string(), "2026-11-20T22:01:28.158Z");
    assert_eq!(events[1].time.to_string(), "2026-11-20T22:01:28.202Z");
    let identity = &events[0].identity;
    assert_eq!(identity.cert_sha256.unwrap().to_string(), SHA256);
    assert_eq!(identity.serial.as_ref().unwrap().as_str(), "7668f969");
    assert_eq!(canonical_dn(identity.issuer_dn.as_ref().unwrap()), canonical_dn("CN=CA,O=Fleet"));
    assert_eq!(
        reason(Format::Haproxy, &haproxy().replace(r#""used":"1""#, r#""used":"0""#)),
        "no-client-certificate"
    );
    let refused = haproxy().replace(r#""verify":"0""#, r#""verify":"20""#);
    assert_eq!(reason(Format::Haproxy, &refused), "client-certificate-refused");
    // What the doubled quotes of %{+Q} inside quotes give.
    assert_eq!(reason(Format::Haproxy, &haproxy().replace(r#""m-1""#, r#"""m-1"""#)), "malformed");
}

#[test]
fn envoy_at_connect_at_end_and_both() {
    let mut reader = Reader::new(Format::Envoy, "gate");
    let open = reader.read(envoy("TcpUpstreamConnected", 0).as_bytes()).unwrap();
    let end = reader.read(envoy("TcpConnectionEnd", 5_000).as_bytes()).unwrap();
    let (EventBody::Authentication(began), EventBody::SessionEnd(ended)) = (&open[0].body, &end[0].body)
    else {
        panic!("{open:?} {end:?}")
    };
    assert_eq!((began.session.as_str(), end.len()), (ended.session.as_str(), 1));
    assert_eq!(end[0].time.ms_since(open[0].time), 5_000);
    assert_eq!(read(Format::Envoy, &envoy("TcpConnectionEnd", 5_000)).len(), 2);
    let mut reader = Reader::new(Format::Envoy, "gate");
    let types: Vec<_> = [1, 2]
        .iter()
        .map(|ms| reader.read(envoy("DownstreamEnd", *ms).as_bytes()).unwrap()[0].body.type_name())
        .collect();
    assert_eq!(types, ["authentication", "heartbeat"]);
}

#[test]
fn emqx_connects_and_is_taken_over() {
    let open = read(Format::Emqx, EMQX);
    assert_eq!(open[0].identity.common_name.as_deref(), Some("m-1"));
    let gone = EMQX
        .replace("client.connected", "client.disconnected")
        .replace("\"timestamp\"", "\"reason\":\"takenover\",\"disconnected_at\":1795212098154,\"timestamp\"");
    let end = read(Format::Emqx, &gone);
    let (EventBody::Authentication(began), EventBody::SessionEnd(ended)) = (&open[0].body, &end[0].body)
    else {
        panic!("{open:?} {end:?}")
    };
    assert_eq!(began.session, ended.session);
    assert_eq!((ended.duration_ms, ended.reason.as_deref()), (Some(10_000), Some("taken-over")));
    assert!(read(Format::Emqx, &EMQX.replace("client.connected", "session.created")).is_empty());
}

#[test]
fn aws_is_one_event_however_often_it_comes() {
    let (open, again, end) = (
        read(Format::AwsIot, &aws("connected")),
        read(Format::AwsIot, &aws("connected")),
        read(Format::AwsIot, &aws("disconnected")),
    );
    assert_eq!(open, again);
    assert_ne!(open[0].event_id, end[0].event_id);
    assert_eq!(open[0].identity.cert_sha256.unwrap().to_string(), SHA256);
    let EventBody::SessionEnd(ended) = &end[0].body else { panic!("{end:?}") };
    assert_eq!(ended.reason.as_deref(), Some("taken-over"));
    assert_eq!(
        reason(Format::AwsIot, &aws("connected").replace(SHA256, "AROA1:role")),
        "no-client-certificate"
    );
}

#[test]
fn azure_in_a_batch_and_in_both_products() {
    let grid = r#"[{"id":"1","eventType":"Microsoft.EventGrid.MQTTClientSessionConnected","eventTime":"2026-11-20T22:01:20.1234567Z","data":{"namespaceName":"n","clientAuthenticationName":"m-1","clientSessionName":"s","sequenceNumber":1}},{"id":"2","eventType":"Microsoft.EventGrid.MQTTClientSessionDisconnected","eventTime":"2026-11-20T22:01:21Z","data":{"clientAuthenticationName":"m-1","clientSessionName":"s","sequenceNumber":2,"disconnectionReason":"ClientInitiatedDisconnect"}}]"#;
    let events = read(Format::AzureEventGrid, grid);
    let (EventBody::Authentication(began), EventBody::SessionEnd(ended)) = (&events[0].body, &events[1].body)
    else {
        panic!("{events:?}")
    };
    assert_eq!(began.session, ended.session);
    let hub = r#"{"id":"1","type":"Microsoft.Devices.DeviceConnected","time":"2026-11-20T22:01:20Z","data":{"deviceId":"d","hubName":"h","deviceConnectionStateEventInfo":{"sequenceNumber":"000000000000000001D4132452F67CE2"}}}"#;
    assert_eq!(read(Format::AzureEventGrid, hub)[0].identity.client_id.as_deref(), Some("d"));
    assert!(read(Format::AzureEventGrid, &hub.replace("DeviceConnected", "DeviceCreated")).is_empty());
}

#[test]
fn zeek_joins_certificates_to_connections_in_both_forms() {
    let lines = [
        "#separator \\x09".to_owned(),
        "#path\tx509".to_owned(),
        "#fields\tts\tfingerprint\tcertificate.serial\tcertificate.subject\tcertificate.issuer".to_owned(),
        format!("1795212088.5\t{SHA256}\t00CC57\tCN=m-1,O=A\\x09B\tCN=CA"),
        "#path\tssl".to_owned(),
        "#fields\tts\tuid\tid.orig_h\tid.orig_p\tversion\tresumed\testablished\tclient_cert_chain_fps"
            .to_owned(),
        format!("1795212088.615923\tC1\t192.0.2.7\t39611\tTLSv12\tF\tT\t{SHA256},{SHA256}"),
    ];
    let mut reader = Reader::new(Format::Zeek, "span");
    let events: Vec<Event> = lines.iter().flat_map(|line| reader.read(line.as_bytes()).unwrap()).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].identity.serial.as_ref().unwrap().as_str(), "cc57");
    assert_eq!(events[0].identity.common_name.as_deref(), Some("m-1"));
    assert_eq!(events[0].time.to_string(), "2026-11-20T22:01:28.615923Z");
    let without = "1795212088.615923\tC2\t192.0.2.7\t39611\tTLSv13\tF\tT\t(empty)";
    assert_eq!(reader.read(without.as_bytes()).unwrap_err().reason(), "no-client-certificate");
    assert_eq!(reader.read(b"1\t2").unwrap_err().reason(), "malformed");
    let json = format!(
        r#"{{"ts":"2026-11-20T22:01:28.615923Z","uid":"C1","id.orig_h":"192.0.2.7","id.orig_p":39611,"version":"TLSv12","resumed":false,"established":true,"client_cert_chain_fps":["{SHA256}"]}}"#
    );
    let event = &read(Format::Zeek, &json)[0];
    assert_eq!((event.time, &event.event_id), (events[0].time, &events[0].event_id));
}

#[test]
fn syslog_around_anything() {
    let inner = haproxy();
    for header in [
        "<134>1 2026-11-20T22:01:28.158774+00:00 - haproxy 8232 - - ",
        "<134>1 2026-11-20T22:01:28Z h haproxy 1 - [a@1 k=\"]\\\" x\"][b@1] \u{feff}",
        "<134>Nov 20 22:01:28 host haproxy[8232]: ",
        "<134>2026-11-20T22:01:28+00:00 host haproxy[8232]: ",
    ] {
        assert_eq!(
            read(Format::Syslog, &format!("{header}{inner}")),
            read(Format::Haproxy, &inner),
            "{header}"
        );
    }
    let mosquitto = "<30>1 2026-11-20T22:01:24Z h mosquitto 1 - - New client connected from 192.0.2.7:1 as d (p5, c1, k10, u'm-1').";
    assert_eq!(read(Format::Syslog, mosquitto)[0].identity.common_name.as_deref(), Some("m-1"));
    let pairs = r#"<30>1 2026-11-20T22:01:24Z h app 1 - - type=authentication session=7 identity.common_name="m 1" peer.ip=192.0.2.7 peer.port=80"#;
    let event = &read(Format::Syslog, pairs)[0];
    let EventBody::Authentication(body) = &event.body else { panic!("{event:?}") };
    assert_eq!((body.session.as_str(), event.identity.common_name.as_deref()), ("7", Some("m 1")));
    assert_eq!(body.peer.as_ref().unwrap().port, Some(80));
    let yearless = pairs.replace("1 2026-11-20T22:01:24Z h app 1 - -", "Nov 20 22:01:24 h app:");
    assert_eq!(reason(Format::Syslog, &yearless), "missing-field");
    for (format, line) in
        [(Format::Emqx, EMQX.to_owned()), (Format::AwsIot, aws("connected")), (Format::Ecs, ecs())]
    {
        assert_eq!(read(Format::Syslog, &format!("<13>Nov 20 22:01:28 h a: {line}")), read(format, &line));
    }
}

#[test]
fn ocsf_and_ecs_name_the_certificate() {
    let ocsf = format!(
        r#"{{"class_uid":3002,"activity_id":1,"status_id":1,"time":1795212088154,"metadata":{{"uid":"u1"}},"session":{{"uid":"s1"}},"src_endpoint":{{"ip":"192.0.2.7","port":4}},"certificate":{{"serial_number":"0A","issuer":"CN=CA","subject":"CN=m-1","fingerprints":[{{"algorithm_id":2,"value":"0b8d8080726aa7d379aacf2b3af72f922598aa3b"}},{{"algorithm_id":3,"value":"{SHA256}"}}]}}}}"#
    );
    let event = &read(Format::Ocsf3002, &ocsf)[0];
    assert_eq!(event.identity.cert_sha256.unwrap().to_string(), SHA256);
    assert!(event.identity.cert_sha1.is_some());
    assert_eq!(
        reason(Format::Ocsf3002, &ocsf.replace("\"status_id\":1", "\"status_id\":2")),
        "client-certificate-refused"
    );
    let logoff = read(Format::Ocsf3002, &ocsf.replace("\"activity_id\":1", "\"activity_id\":2"));
    assert_eq!(logoff[0].body.type_name(), "session_end");
    let events = read(Format::Ecs, &ecs());
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].time.ms_since(events[0].time), 8_000);
    let EventBody::Authentication(body) = &events[0].body else { panic!("{events:?}") };
    assert_eq!(body.tls.as_ref().unwrap().version.as_deref(), Some("TLSv1.3"));
}

#[test]
fn an_envelope_fills_what_the_event_does_not_say() {
    let event = r#"{"type":"heartbeat","identity":{"common_name":"m-1"},"counter":1}"#;
    let envelope = |data: &str| {
        format!(
            r#"{{"specversion":"1.0","type":"org.touchmark.event","id":"7","source":"/fleet","time":"2026-11-20T22:01:28Z","data":{data}}}"#
        )
    };
    let object = read(Format::CloudEvents, &envelope(event));
    assert_eq!(object, read(Format::CloudEvents, &envelope(&serde_json::to_string(event).unwrap())));
    assert_eq!((object[0].event_id.as_deref(), object[0].source.as_str()), (Some("7"), "/fleet"));
    let batch = format!("[{},{}]", envelope(event), envelope(event));
    assert_eq!(read(Format::CloudEvents, &batch).len(), 2);
    let bad = format!("[{},{}]", envelope(event), envelope("{}"));
    assert_eq!(reason(Format::CloudEvents, &bad), "unknown-type");
    assert_eq!(read(Format::Touchmark, &object[0].to_line()), object);
}

#[test]
fn hostile_lines_are_refused_with_a_safe_example() {
    for format in Format::ALL {
        let mut reader = Reader::new(format, "gate");
        assert_eq!(reader.read(b"\r\n").unwrap(), []);
        let long = vec![b'x'; 2 << 20];
        assert_eq!(reader.read(&long).unwrap_err().reason(), "too-long", "{format}");
        for line in [&b"\x1b[31m{\"\xff\xfe"[..], b"{\"a\":\"\x00\"}", b"{}", b"[[[[", b"{\"event\":7}"] {
            let Err(error) = reader.read(line) else { continue };
            let text = format!("{error}{}", error.example());
            assert!(text.chars().all(|c| !c.is_control()), "{format}: {text:?}");
        }
    }
    // A field that is longer than an event may hold is left out or refused, never carried.
    let long = haproxy().replace("7F000001:9CE0", &"A".repeat(60_000));
    assert_eq!(reason(Format::Haproxy, &long), "missing-field");
    assert_eq!(
        read(Format::Haproxy, &haproxy().replace("/O=Fleet/CN=CA", &"A".repeat(600)))[0].identity.issuer_dn,
        None
    );
}

fn samples() -> Vec<(Format, String)> {
    vec![
        (Format::Haproxy, haproxy()),
        (Format::Envoy, envoy("TcpConnectionEnd", 1)),
        (Format::Emqx, EMQX.to_owned()),
        (Format::AwsIot, aws("connected")),
        (Format::Ecs, ecs()),
        (Format::Syslog, format!("<134>1 2026-11-20T22:01:28Z - haproxy 1 - - {}", haproxy())),
        (
            Format::Mosquitto,
            "1795212084: New client connected from 192.0.2.7:1 as x (p2, c1, k60, u'a').".to_owned(),
        ),
    ]
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for format in Format::ALL {
            let _ = Reader::new(format, "gate").read(&bytes);
        }
    }

    #[test]
    fn a_changed_byte_gives_an_event_that_can_be_written_or_none(at in 0usize..900, byte: u8) {
        for (format, line) in samples() {
            let mut bytes = line.into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            for event in Reader::new(format, "gate").read(&bytes).unwrap_or_default() {
                prop_assert_eq!(Event::from_line(event.to_line().as_bytes()), Ok(event));
            }
        }
    }
}
