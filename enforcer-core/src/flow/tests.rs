//! The JSON of flows: files of it are read again.

use serde_json::json;

use super::*;

/// A denial under audit, with everything in it.
pub(super) fn flow() -> Flow {
    serde_json::from_value(json!({
        "time": "2025-03-01T12:00:00.5Z", "hook": "connect4", "verdict": "deny", "reason": "needs_name",
        "enforcement": "audit",
        "workload": {"namespace": "shop", "name": "cart", "labels": {"app": "cart"}},
        "cgroup": 4711, "process": {"id": 42, "name": "curl"}, "protocol": "tcp",
        "source": "10.1.2.3:40000",
        "destination": {"host": "api.example.com", "ip": "192.0.2.1", "port": 443},
        "translated": null,
        "rule": {"id": 7, "object": {"kind": "ServiceEntry", "namespace": "shop", "name": "api"}}
    }))
    .unwrap()
}

#[test]
fn a_line_is_a_flow_or_says_what_is_missing() {
    let flow = FlowLine::Flow(Arc::new(flow()));
    let lost = FlowLine::Lost {
        lost: Lost {
            time: "2025-03-01T12:00:01Z".parse().unwrap(),
            events: 3,
            workload: None,
            why: Lost::SLOW_READER.to_owned(),
        },
    };
    let text = serde_json::to_string(&lost).unwrap();
    assert_eq!(
        text,
        r#"{"lost":{"time":"2025-03-01T12:00:01Z","events":3,"workload":null,"why":"slow reader"}}"#
    );
    for line in [flow, lost] {
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<FlowLine>(&text).unwrap(), line, "{text}");
    }
}

#[test]
fn a_flow_without_what_may_be_missing_is_read() {
    let text = r#"{"time":"2025-03-01T12:00:00Z","hook":"connect6","verdict":"allow","reason":"registered",
        "enforcement":"enforce","workload":null,"cgroup":1,"process":{"id":1,"name":"a"},"protocol":"udp",
        "destination":{"ip":"2001:db8::1","port":53}}"#;
    let FlowLine::Flow(flow) = serde_json::from_str(text).unwrap() else { panic!("no flow") };
    assert_eq!((flow.source, flow.translated, flow.is_denial()), (None, None, false));
}
