use super::*;

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let home = [("HOME", "/nowhere/ada")];
    home.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(flags: Flags, pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(Purpose::Server, flags, env(pairs))
}

fn file(text: &str) -> (tempfile::TempDir, Flags) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    std::fs::write(&path, text).unwrap();
    (folder, Flags { config: Some(path), ..Flags::default() })
}

#[test]
fn nothing_said_is_one_computer_on_loopback() {
    let config = load(Flags::default(), &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8787");
    assert_eq!(config.data_dir, PathBuf::from("/nowhere/ada/.chatroom/server"));
    assert_eq!(config.public_url.to_string(), "http://localhost:8787");
    assert_eq!(config.database, Place::Sqlite("/nowhere/ada/.chatroom/server/chatroom.db".into()));
    assert!(!config.open_sign_up);
    let up = Config::load(Purpose::Up, Flags { port: Some(9000), ..Flags::default() }, env(&[])).unwrap();
    assert_eq!(up.public_url.to_string(), "http://chatroom.localhost:9000");
}

#[test]
fn a_flag_beats_the_environment_beats_the_file() {
    let (_folder, flags) = file("port = 1\nopen_sign_up = true\ntrusted_proxy = [\"10.0.0.0/8\", \"::1\"]");
    let both = [("CHATROOM_PORT", "2"), ("DATABASE_URL", "postgres://u:hidden@db/x")];
    assert_eq!(load(flags.clone(), &[]).unwrap().listen.port(), 1);
    assert_eq!(load(flags.clone(), &both).unwrap().listen.port(), 2);
    let config = load(Flags { port: Some(3), ..flags.clone() }, &both).unwrap();
    assert_eq!((config.listen.port(), config.open_sign_up, config.trusted_proxy.len()), (3, true, 2));
    assert_eq!(config.database, Place::Postgres("postgres://u:hidden@db/x".into()));
    let listen = Flags { listen: Some("0.0.0.0:4".into()), ..flags };
    assert_eq!(load(listen.clone(), &both).unwrap().listen.to_string(), "0.0.0.0:4");
    assert_eq!(load(Flags { port: Some(3), ..listen }, &both).unwrap().listen.to_string(), "0.0.0.0:3");
}

#[test]
fn a_bad_value_names_the_setting_and_where_it_stands() {
    for (name, value, said) in [
        (
            "CHATROOM_PORT",
            "soon",
            "`port` from the variable CHATROOM_PORT is \"soon\", but must be a number from 0 to 65535",
        ),
        (
            "CHATROOM_LISTEN",
            "everywhere",
            "`listen` from the variable CHATROOM_LISTEN is \"everywhere\", but must be an IP address, with or without a port",
        ),
        (
            "CHATROOM_PUBLIC_URL",
            "chat.example.org",
            "`public_url` from the variable CHATROOM_PUBLIC_URL is \"chat.example.org\", but must be http(s)://HOST[:PORT] without a path, a query or a user",
        ),
        (
            "DATABASE_URL",
            "mysql://root:hidden@db",
            "`database` from the variable DATABASE_URL is \"…\", but must be postgres://… or sqlite://PATH",
        ),
        (
            "CHATROOM_TRUSTED_PROXY",
            "proxy",
            "`trusted_proxy` from the variable CHATROOM_TRUSTED_PROXY is \"proxy\", but must be IP addresses or networks such as 10.0.0.0/8",
        ),
        (
            "CHATROOM_LOG_FORMAT",
            "xml",
            "`log_format` from the variable CHATROOM_LOG_FORMAT is \"xml\", but must be pretty or json",
        ),
        (
            "CHATROOM_OPEN_SIGN_UP",
            "maybe",
            "`open_sign_up` from the variable CHATROOM_OPEN_SIGN_UP is \"maybe\", but must be true or false",
        ),
        (
            "CHATROOM_EVENT_RETENTION_DAYS",
            "0",
            "`event_retention_days` from the variable CHATROOM_EVENT_RETENTION_DAYS is \"0\", but must be a number of days from 1 to 3650",
        ),
        (
            "CHATROOM_METRICS_TOKEN",
            "short",
            "`metrics_token` from the variable CHATROOM_METRICS_TOKEN is \"…\", but must be at least 16 characters",
        ),
        ("CHATROOM_TLS_CERT", "/c.pem", "`tls_cert` is set but `tls_key` is not; set both or neither"),
    ] {
        assert_eq!(load(Flags::default(), &[(name, value)]).unwrap_err().to_string(), said);
    }
    let (_folder, flags) = file("prot = 1");
    let said = load(flags, &[]).unwrap_err().to_string();
    assert!(said.contains("sets `prot`, which is no setting; known are: listen, port,"), "{said}");
    let (_folder, flags) = file("secret_keys = \"k1:c2VjcmV0\nport = 1");
    let said = load(flags, &[]).unwrap_err().to_string();
    assert!(said.contains("cannot be read") && !said.contains("c2VjcmV0"), "{said}");
    let missing = Flags { config: Some("/nowhere/s.toml".into()), ..Flags::default() };
    assert!(load(missing, &[]).unwrap_err().to_string().contains("/nowhere/s.toml cannot be read"));
    assert_eq!(Config::load(Purpose::Server, Flags::default(), []).unwrap_err(), ConfigError::NoHome);
}

#[test]
fn print_config_names_sources_and_hides_secrets() {
    let config = load(
        Flags { port: Some(9000), ..Flags::default() },
        &[
            ("CHATROOM_SECRET_KEYS", "k1:hidden-key"),
            ("CHATROOM_METRICS_TOKEN", "hidden-token-0123456"),
            ("DATABASE_URL", "postgres://u:hidden@db.example/x?password=hidden"),
        ],
    )
    .unwrap();
    let text = config.print();
    insta::assert_snapshot!(text, @r#"
    listen = "127.0.0.1"  # the default
    port = 9000  # the flag --port
    data_dir = "/nowhere/ada/.chatroom/server"  # the default
    database = "postgres://db.example/x"  # the variable DATABASE_URL
    public_url = "http://localhost:9000"  # the default
    # tls_cert is not set  # the default
    # tls_key is not set  # the default
    trusted_proxy = []  # the default
    log_format = "pretty"  # the default
    open_sign_up = false  # the default
    event_retention_days = 30  # the default
    run_retention_days = 90  # the default
    secret_keys = "…"  # the variable CHATROOM_SECRET_KEYS
    metrics_token = "…"  # the variable CHATROOM_METRICS_TOKEN
    # binary is not set  # the default
    "#);
    assert!(!format!("{text}{config:?}").contains("hidden"));
    assert!(toml::from_str::<toml::Table>(&text).is_ok());
}
