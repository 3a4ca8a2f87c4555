//! Flows as they are printed.

use std::sync::Arc;

use serde_json::json;

use super::*;

fn flow(change: &[(&str, serde_json::Value)]) -> FlowLine {
    let mut value = json!({
        "time": "2025-03-01T12:00:00.5Z", "hook": "connect4", "verdict": "deny", "reason": "not_registered",
        "enforcement": "enforce", "workload": {"namespace": "shop", "name": "cart"},
        "cgroup": 4711, "process": {"id": 42, "name": "curl"}, "protocol": "tcp",
        "destination": {"host": "api.example.com", "ip": "192.0.2.1", "port": 443}
    });
    for (field, with) in change {
        value[field] = with.clone();
    }
    FlowLine::Flow(Arc::new(serde_json::from_value(value).unwrap()))
}

fn all() -> Vec<FlowLine> {
    vec![
        flow(&[]),
        flow(&[
            ("enforcement", json!("audit")),
            ("workload", json!(null)),
            ("destination", json!({"ip": "2001:db8::1234:5678", "port": 8443})),
        ]),
        flow(&[
            ("verdict", json!("translate")),
            ("reason", json!("registered")),
            ("translated", json!("10.0.0.7:8443")),
        ]),
        flow(&[("verdict", json!("allow")), ("destination", json!({"ip": "192.0.2.53", "port": 53}))]),
        FlowLine::Lost {
            lost: Lost {
                time: "2025-03-01T12:00:01Z".parse().unwrap(),
                events: 120,
                workload: Some("shop/cart".to_owned()),
                why: Lost::SUPPRESSED.to_owned(),
            },
        },
    ]
}

fn printed(width: Option<usize>) -> String {
    all().iter().map(|line| human(line, Look { width, colour: false })).collect()
}

#[test]
fn a_line_a_flow_where_nobody_wraps() {
    assert_eq!(
        printed(None),
        "\
12:00:00.500  DENIED           shop/cart  curl[42]  -> 192.0.2.1:443/tcp  (api.example.com)  not_registered
12:00:00.500  would be denied  cgroup 4711  curl[42]  -> [2001:db8::1234:5678]:8443/tcp  not_registered
12:00:00.500  translated       shop/cart  curl[42]  -> 192.0.2.1:443/tcp  (api.example.com)  registered  translated to 10.0.0.7:8443
12:00:00.500  allowed          shop/cart  curl[42]  -> 192.0.2.53:53/tcp  not_registered
-- 12:00:01.000 120 flows of shop/cart not shown (rate limit or full ring)
"
    );
}

#[test]
fn at_80_columns() {
    assert_eq!(
        printed(Some(80)),
        "\
12:00:00.500  DENIED           shop/cart  curl[42]  -> 192.0.2.1:443/tcp
    (api.example.com)  not_registered
12:00:00.500  would be denied  cgroup 4711  curl[42]
    -> [2001:db8::1234:5678]:8443/tcp  not_registered
12:00:00.500  translated       shop/cart  curl[42]  -> 192.0.2.1:443/tcp
    (api.example.com)  registered  translated to 10.0.0.7:8443
12:00:00.500  allowed          shop/cart  curl[42]  -> 192.0.2.53:53/tcp
    not_registered
-- 12:00:01.000 120 flows of shop/cart not shown (rate limit or full ring)
"
    );
}

#[test]
fn at_40_columns() {
    assert_eq!(
        printed(Some(40)),
        "\
12:00:00.500  DENIED  shop/cart
    curl[42]  -> 192.0.2.1:443/tcp
    (api.example.com)  not_registered
12:00:00.500  would be denied
    cgroup 4711  curl[42]
    -> [2001:db8::1234:5678]:8443/tcp
    not_registered
12:00:00.500  translated  shop/cart
    curl[42]  -> 192.0.2.1:443/tcp
    (api.example.com)  registered
    translated to 10.0.0.7:8443
12:00:00.500  allowed  shop/cart
    curl[42]  -> 192.0.2.53:53/tcp
    not_registered
-- 12:00:01.000 120 flows of
    shop/cart not shown (rate limit or
    full ring)
"
    );
}

#[test]
fn colours_do_not_count_and_nothing_moves_the_cursor() {
    let named = flow(&[("process", json!({"id": 42, "name": "a\u{1b}[2J\n"}))]);
    assert_eq!(
        human(&named, Look { width: Some(80), colour: true }),
        "12:00:00.500  \u{1b}[1;31mDENIED\u{1b}[0m           shop/cart  a?[2J?[42]  -> 192.0.2.1:443/tcp\n    \
         (api.example.com)  not_registered\n"
    );
}
