//! Files that change, as a source sees them.

use super::*;

const GOOD: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n\
    spec: {hosts: [a.example.com], addresses: [192.0.2.1], ports: [{number: 80, name: http, protocol: HTTP}]}\n";

fn names(source: &FileSource) -> Vec<String> {
    source.objects().iter().map(|object| object.object.name.to_string()).collect()
}

#[test]
fn the_last_good_objects_of_a_broken_file_stay_until_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, GOOD).unwrap();
    fs::write(directory.path().join("notes.txt"), "no registry").unwrap();
    fs::write(directory.path().join(".hidden.yaml"), GOOD).unwrap();
    let mut source = FileSource::new(directory.path());
    assert!(source.refresh().unwrap());
    assert_eq!(names(&source), ["a"]);
    assert!(!source.refresh().unwrap(), "nothing has changed");

    fs::write(&file, "kind: [half a file").unwrap();
    assert!(source.refresh().unwrap());
    assert_eq!(names(&source), ["a"]);
    assert_eq!(source.snapshot(0).stale_files, [file.display().to_string()]);
    assert_eq!(source.problems().len(), 1);

    fs::write(&file, GOOD.replace("name: a}", "name: b}")).unwrap();
    assert!(source.refresh().unwrap());
    assert_eq!((names(&source), source.problems().len()), (vec!["b".to_owned()], 0));

    fs::remove_file(&file).unwrap();
    assert!(source.refresh().unwrap());
    assert!(names(&source).is_empty());
}

#[test]
fn a_path_that_is_not_there_is_an_error_that_says_so() {
    let error = format!("{:#}", anyhow::Error::from(load(Path::new("/nowhere/at-all")).unwrap_err()));
    assert!(error.contains("/nowhere/at-all") && error.contains("No such file"), "{error}");
}
