//! Files that change, as a source sees them.

use std::time::Instant;

use super::*;
use news::SETTLE;

const GOOD: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\n\
    spec: {hosts: [a.example.com], addresses: [192.0.2.1], ports: [{number: 80, name: http, protocol: HTTP}]}\n";

fn names(source: &FileSource) -> Vec<String> {
    source.objects().iter().map(|object| object.object.name.to_string()).collect()
}

/// Looks at what was heard until nothing there waits any more; whether anything changed.
fn look(source: &mut FileSource, heard: &Changes) -> bool {
    let mut changed = source.look(heard).unwrap();
    while source.unrest.paths().next().is_some() {
        std::thread::sleep(Duration::from_millis(1));
        changed |= source.look(heard).unwrap();
    }
    changed
}

fn of(files: impl IntoIterator<Item = PathBuf>) -> Changes {
    Changes { files: files.into_iter().collect(), ..Changes::default() }
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
    assert!(look(&mut source, &of([file("07.yaml"), file("nothing.yaml"), file("07.yaml~")])));
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
    assert!(!look(&mut source, &Changes { everything: true, unfinished, ..Changes::default() }));
    assert_eq!(names(&source), ["a"]);
    assert!(look(&mut source, &of([file])));
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
    assert!(look(&mut source, &of([below])));
    assert!(names(&source).is_empty());
}

/// A file is saved as editors do, and looked at after each step; `None` when the machine was too busy to look within a moment.
fn saved_and_looked_at(heard: impl Fn(&Path) -> Changes) -> Option<()> {
    let directory = tempfile::tempdir().unwrap();
    let (file, kept) = (directory.path().join("a.yaml"), directory.path().join("a.yaml~"));
    fs::write(&file, GOOD).unwrap();
    let mut source = FileSource::new(directory.path());
    source.refresh().unwrap();
    let steps: [&dyn Fn(); 4] = [
        &|| fs::rename(&file, &kept).unwrap(),
        &|| drop(fs::File::create(&file).unwrap()),
        &|| fs::write(&file, &GOOD[..GOOD.len() / 2]).unwrap(),
        &|| fs::write(&file, GOOD).unwrap(),
    ];
    let heard = heard(&file);
    let begun = Instant::now();
    for (number, step) in steps.iter().enumerate() {
        step();
        let changed = source.look(&heard).unwrap();
        if begun.elapsed() >= SETTLE {
            return None;
        }
        assert!(!changed && names(&source) == ["a"], "after step {number} of {heard:?}");
    }
    assert!(look(&mut source, &heard), "it is another file: {heard:?}");
    assert_eq!((names(&source), source.problems().len()), (vec!["a".to_owned()], 0));
    fs::remove_file(&file).unwrap();
    assert!(look(&mut source, &heard), "it does not come back");
    assert!(names(&source).is_empty());
    Some(())
}

#[test]
fn between_two_steps_of_an_editor_everything_is_as_it_was() {
    let everything = |_: &Path| Changes { everything: true, ..Changes::default() };
    let unheard = |_: &Path| Changes { everything: true, unheard: true, ..Changes::default() };
    let told = |_| {
        saved_and_looked_at(|file| of([file.to_path_buf()])).is_some()
            && saved_and_looked_at(everything).is_some()
            && saved_and_looked_at(unheard).is_some()
    };
    assert!((0..200).any(told), "the machine is too busy to tell");
}

#[test]
fn a_file_that_got_another_name_is_never_there_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("b.yaml"), directory.path().join("a.yaml"));
    fs::write(&old, GOOD).unwrap();
    let mut source = FileSource::new(directory.path());
    source.refresh().unwrap();
    fs::rename(&old, &new).unwrap();
    let heard = of([old, new]);
    while !source.look(&heard).unwrap() {
        assert_eq!(names(&source), ["a"]);
    }
    assert_eq!(names(&source), ["a"]);
    assert!(source.unrest.paths().next().is_none());
}

#[test]
fn a_file_that_never_rests_is_taken_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    let mut source = FileSource::new(directory.path());
    source.refresh().unwrap();
    let begun = Instant::now();
    let heard = of([file.clone()]);
    loop {
        fs::write(&file, GOOD).unwrap();
        if source.look(&heard).unwrap() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = begun.elapsed();
    assert!((5..15).contains(&took.as_secs()), "{took:?}");
    assert_eq!(names(&source), ["a"]);
}
