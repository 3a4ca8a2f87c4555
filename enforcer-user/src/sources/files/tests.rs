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

#[test]
fn only_the_file_that_was_named_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let write =
        |name: &str| fs::write(file(name), GOOD.replace("name: a}", &format!("name: {name}}}"))).unwrap();
    (0..50).for_each(|number| write(&format!("{number:02}.yaml")));
    let mut source = FileSource::new(directory.path());
    source.refresh().unwrap();
    let before = source.objects();

    fs::write(file("07.yaml"), GOOD.replace("name: a}", "name: changed}")).unwrap();
    // Nobody has told of this one yet.
    fs::write(file("09.yaml"), GOOD.replace("name: a}", "name: later}")).unwrap();
    let files = [file("07.yaml"), file("nothing.yaml"), file("07.yaml~")].into();
    assert!(source.look(&Changes { files, ..Changes::default() }).unwrap());
    let after = source.objects();
    let read_again: Vec<usize> = (0..50).filter(|at| !Arc::ptr_eq(&before[*at], &after[*at])).collect();
    assert_eq!(read_again, [7]);

    assert!(source.refresh().unwrap());
    assert_eq!(names(&source)[9], "later");
}

#[test]
fn a_file_that_is_being_written_waits_and_its_last_objects_stay() {
    use std::os::unix::fs::MetadataExt as _;

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, GOOD).unwrap();
    let mut source = FileSource::new(directory.path());
    source.refresh().unwrap();
    fs::write(&file, "").unwrap();
    let metadata = fs::metadata(&file).unwrap();
    let unfinished = [(metadata.dev(), metadata.ino())].into();
    assert!(!source.look(&Changes { everything: true, unfinished, ..Changes::default() }).unwrap());
    assert_eq!(names(&source), ["a"]);
    assert!(source.look(&Changes { files: [file].into(), ..Changes::default() }).unwrap());
    assert!(names(&source).is_empty());
}

#[test]
fn a_directory_of_files_that_goes_is_more_than_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    fs::create_dir(&below).unwrap();
    fs::write(below.join("a.yaml"), GOOD).unwrap();
    let mut source = FileSource::new(directory.path());
    source.refresh().unwrap();
    fs::remove_dir_all(&below).unwrap();
    assert!(source.look(&Changes { files: [below].into(), ..Changes::default() }).unwrap());
    assert!(names(&source).is_empty());
}
