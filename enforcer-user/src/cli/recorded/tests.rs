//! Files as they come.

use super::*;

/// A line of a flow of `shop/cart`.
pub(in crate::cli) fn flow(ip: &str) -> String {
    format!(
        "{{\"time\":\"2026-11-20T10:00:00Z\",\"hook\":\"connect4\",\"verdict\":\"allow\",\"reason\":\"registered\",\
         \"enforcement\":\"audit\",\"workload\":{{\"namespace\":\"shop\",\"name\":\"cart\"}},\"cgroup\":7,\
         \"process\":{{\"id\":1,\"name\":\"curl\"}},\"protocol\":\"tcp\",\
         \"destination\":{{\"ip\":\"{ip}\",\"port\":443}}}}"
    )
}

#[test]
fn every_line_is_a_flow_a_loss_nothing_or_junk() {
    let good = flow("192.0.2.1");
    for (story, text, expected) in [
        ("nothing", String::new(), (0, 0, 0)),
        ("empty lines", "\n \r\n\n".to_owned(), (0, 0, 0)),
        ("flows, the last without an end", format!("{good}\r\n\n{good}"), (2, 0, 0)),
        ("losses", "{\"lost\": {\"time\": \"x\", \"events\": 3, \"why\": \"y\"}}\n".to_owned(), (0, 3, 0)),
        ("a loss without a number", "{\"lost\": {}}".to_owned(), (0, 1, 0)),
        ("half a line", format!("{good}\n{}", &good[..40]), (1, 0, 1)),
        ("other JSON", "{\"a\": 1}\n[1]\n7\nnull\n".to_owned(), (0, 0, 4)),
        ("nesting", "[".repeat(100_000), (0, 0, 1)),
        ("a long line does not take the next one", format!("{}\n{good}\n", "x".repeat(3 << 20)), (1, 0, 1)),
    ] {
        let recorded = lines(text.as_bytes()).unwrap();
        assert_eq!((recorded.recording.flows(), recorded.lost, recorded.junk), expected, "{story}");
    }
    let binary = lines(&b"\xff\xfe\x00\n{}\n"[..]).unwrap();
    assert_eq!((binary.recording.flows(), binary.junk), (0, 2));
}

#[test]
fn junk_is_told_by_its_line_and_fails_in_the_end() {
    let text = format!("\n{}\n{{\"time\": \"now\"}}\n", flow("192.0.2.1"));
    let recorded = lines(text.as_bytes()).unwrap();
    assert_eq!(recorded.told.len(), 1);
    assert!(recorded.told[0].starts_with("3: no flow: "), "{:?}", recorded.told);
    assert!(!recorded.told[0].contains("line 1"), "{:?}", recorded.told);
    let error = recorded.check(&JunkArgs { skip_junk: false }).unwrap_err().to_string();
    assert_eq!(
        error,
        "1 line of the file could not be read as a flow; correct the file, or give --skip-junk"
    );
    recorded.check(&JunkArgs { skip_junk: true }).unwrap();
}

#[test]
fn a_few_are_told() {
    let recorded = lines("x\n".repeat(1_000).as_bytes()).unwrap();
    assert_eq!((recorded.junk, recorded.told.len()), (1_000, TOLD));
}

#[test]
fn a_file_without_flows_is_no_answer() {
    let error = read("/dev/null").unwrap_err().to_string();
    assert!(error.starts_with("there is no flow at /dev/null"), "{error}");
    let error = format!("{:#}", read("/nowhere/flows.jsonl").unwrap_err());
    assert!(error.contains("opening the flows at /nowhere/flows.jsonl"), "{error}");
}
