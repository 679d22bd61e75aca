//! Which layer decides.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

/// A home, a project in it, and an administrator's file, all of them in one temporary folder.
struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(OsString, OsString)>,
    flags: Layer,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("project/.bellwether")).unwrap();
        std::fs::create_dir_all(folder.path().join("home/.config/bellwether")).unwrap();
        let home = folder.path().join("home").into_os_string();
        Self {
            folder,
            environment: vec![("HOME".into(), home)],
            flags: Layer::new(),
        }
    }

    fn write(&self, layer: &str, text: &str) {
        let file = match layer {
            "person" => "home/.config/bellwether/config.toml",
            "project" => "project/.bellwether/config.toml",
            _ => "managed.toml",
        };
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn load(&self) -> Result<Config> {
        Config::load(Sources {
            managed: &self.folder.path().join("managed.toml"),
            flags: self.flags.clone(),
            environment: self.environment.clone(),
            directory: &self.folder.path().join("project"),
            cpus: 8,
        })
    }

    fn concurrency(&self) -> (Option<u32>, &'static str) {
        let config = self.load().unwrap();
        let name = config.get(Key::Concurrency).unwrap().source.name();
        (config.concurrency(), name)
    }
}

#[test]
fn each_layer_overrides_those_below() {
    let mut place = Place::new();
    assert_eq!(place.concurrency(), (None, "default"));
    place.write("person", "concurrency = 1");
    assert_eq!(place.concurrency(), (Some(1), "person"));
    place.write("project", "concurrency = 2");
    assert_eq!(place.concurrency(), (Some(2), "project"));
    place
        .environment
        .push(("BELLWETHER_CONCURRENCY".into(), "3".into()));
    assert_eq!(place.concurrency(), (Some(3), "environment"));
    place.flags.push((Key::Concurrency, Value::Count(4)));
    assert_eq!(place.concurrency(), (Some(4), "flag"));
    assert!(place.load().unwrap().overruled().is_empty());
    place.write("managed", "concurrency = 5");
    assert_eq!(place.concurrency(), (Some(5), "managed"));
    let config = place.load().unwrap();
    let [line] = config.overruled() else {
        panic!("{:?}", config.overruled())
    };
    assert!(line.starts_with("--concurrency has no effect: ") && line.ends_with("concurrency = 5"));
}

#[test]
fn xdg_config_home_moves_the_personal_file() {
    let mut place = Place::new();
    place.write("person", "concurrency = 1");
    let elsewhere = place.folder.path().join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("bellwether")).unwrap();
    std::fs::write(elsewhere.join("bellwether/config.toml"), "concurrency = 9").unwrap();
    place
        .environment
        .push(("XDG_CONFIG_HOME".into(), elsewhere.into()));
    assert_eq!(place.concurrency(), (Some(9), "person"));
    place.environment.pop();
    place
        .environment
        .push(("XDG_CONFIG_HOME".into(), "relative".into()));
    assert_eq!(place.concurrency(), (Some(1), "person"));
}

#[test]
fn y01_the_persons_folders_are_where_the_environment_says() {
    let mut place = Place::new();
    let home = place.folder.path().join("home");
    assert_eq!(place.load().unwrap().home, Home::at(&home));
    let elsewhere = place.folder.path().join("elsewhere");
    for name in ["XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR"] {
        place
            .environment
            .push((name.into(), elsewhere.clone().into()));
    }
    let found = place.load().unwrap().home;
    assert_eq!(found.bellwether, Some(elsewhere.join("bellwether")));
    assert_eq!(found.claude, Some(elsewhere));
    place.environment.clear();
    assert_eq!(place.load().unwrap().home, Home::default());
}

#[test]
fn the_environment_is_checked_as_files_are() {
    for (name, value, what) in [
        (
            "BELLWETHER_CONCURENCY",
            "3",
            "unknown setting `BELLWETHER_CONCURENCY`",
        ),
        (
            "BELLWETHER_CONCURRENCY",
            "many",
            "`BELLWETHER_CONCURRENCY`: expected a whole number",
        ),
        (
            "BELLWETHER_TIMEOUT",
            "5",
            "`BELLWETHER_TIMEOUT`: `5` is no duration",
        ),
    ] {
        let mut place = Place::new();
        place.environment.push((name.into(), value.into()));
        let error = place.load().unwrap_err();
        assert!(error.message().starts_with("environment: ") && error.message().contains(what));
        assert_eq!(error.exit_code().number(), 2);
    }
    let mut place = Place::new();
    place
        .environment
        .push(("BELLWETHER_CONCURRENCY".into(), String::new().into()));
    place
        .environment
        .push(("BELLWETHER_SOMETHING_ELSE".into(), "x".into()));
    assert_eq!(place.concurrency(), (None, "default"));
}

#[test]
fn relative_journals_start_where_they_are_named() {
    let mut place = Place::new();
    let root = place.folder.path().join("project");
    assert_eq!(
        place.load().unwrap().journal(),
        (root.join(".bellwether/local/journal.redb"), true)
    );
    place.write("person", "journal = \"p.redb\"");
    let person = place.folder.path().join("home/.config/bellwether/p.redb");
    assert_eq!(place.load().unwrap().journal(), (person, false));
    place.write("project", "journal = \"p.redb\"");
    assert_eq!(
        place.load().unwrap().journal(),
        (root.join("p.redb"), false)
    );
    place
        .environment
        .push(("BELLWETHER_JOURNAL".into(), "/e.redb".into()));
    assert_eq!(place.load().unwrap().journal(), ("/e.redb".into(), false));
}

#[test]
fn of_backend_and_agent_command_the_higher_layer_decides() {
    let dry = || Some(Agents::Backend("dry".to_owned()));
    let program = || Some(Agents::Command(vec!["agent".to_owned(), "-p".to_owned()]));
    let table = [
        ("", "", None),
        ("backend = \"dry\"", "", dry()),
        ("agent_command = \"agent -p\"", "", program()),
        ("backend = \"command\"", "", None),
        (
            "backend = \"command\"\nagent_command = \"agent -p\"",
            "",
            program(),
        ),
        ("backend = \"dry\"\nagent_command = \"agent -p\"", "", dry()),
        (
            "backend = \"dry\"",
            "agent_command = \"agent -p\"",
            program(),
        ),
        ("agent_command = \"agent -p\"", "backend = \"dry\"", dry()),
        (
            "agent_command = \"agent -p\"",
            "backend = \"command\"",
            program(),
        ),
    ];
    for (person, project, agents) in table {
        let place = Place::new();
        place.write("person", person);
        place.write("project", project);
        assert_eq!(
            place.load().unwrap().agents(),
            agents,
            "{person} / {project}"
        );
    }
}

#[test]
fn c01_the_default_concurrency_follows_the_cpus() {
    for (cpus, agents) in [(1, 2), (2, 2), (4, 2), (5, 3), (8, 6), (18, 16), (64, 16)] {
        assert_eq!(default_concurrency(cpus), agents, "{cpus} CPUs");
    }
    assert_eq!(
        Place::new().load().unwrap().caps(),
        "up to 6 agents at once, 1000 in all, 4096 items a fan-out"
    );
}
