//! Which rule decides, and what is said of lines that are no rules. The messages are those of PostgreSQL 15.

use super::*;
use helios_runtime::executor::UnixCredentials;

fn rules(text: &str) -> Result<Rules, String> {
    let encryption = Encryption { is_on: true, has_authorities: true };
    let lines = tokens::lines_of(text, Path::new("/nowhere"));
    let rules = lines.iter().map(|line| rule::read_rule(line, encryption));
    let rules = rules.collect::<Result<_, _>>().map_err(|complaint| complaint.message)?;
    Ok(Rules { rules, maps: Maps::default() })
}

/// The line of the rule that decides.
fn decided(text: &str, peer: &str, is_encrypted: bool, user: &str, database: &str) -> Option<usize> {
    let peer = match peer {
        "local" => Peer::Unix(UnixCredentials { process_id: 1, user_id: 0, group_id: 0 }),
        address => Peer::Tcp(format!("{address}:1").parse().expect("an address")),
    };
    let roles = [user.to_owned(), "team".to_owned()];
    let client = Client { peer: Some(peer), is_encrypted, user, database, roles: &roles };
    rules(text).expect("valid").decide(&client).map(|rule| rule.line)
}

#[test]
fn the_first_rule_that_fits_decides() {
    let text = "local all anna reject\n\
                local sameuser all peer\n\
                hostssl shop all 10.0.0.0/8 scram-sha-256\n\
                hostnossl all all 10.1.0.0 255.255.0.0 reject\n\
                host all +team 192.168.1.7/32 trust\n\
                host \"all\",samerole \"+team\",berta ::1/128 trust\n\
                host all all 127.0.0.1/32 trust";
    for (peer, is_encrypted, user, database, line) in [
        ("local", false, "anna", "x", Some(1)),
        ("local", false, "berta", "berta", Some(2)),
        ("local", false, "berta", "shop", None),
        ("10.9.9.9", true, "anna", "shop", Some(3)),
        ("10.9.9.9", false, "anna", "shop", None),
        ("10.1.9.9", false, "anna", "shop", Some(4)),
        ("192.168.1.7", false, "anna", "x", Some(5)),
        ("192.168.1.8", false, "anna", "x", None),
        ("[::1]", false, "berta", "team", Some(6)),
        ("[::1]", false, "berta", "all", Some(6)),
        ("[::1]", false, "anna", "all", None),
        ("127.0.0.1", true, "anna", "x", Some(7)),
        ("[::ffff:127.0.0.1]", false, "anna", "x", Some(7)),
    ] {
        assert_eq!(decided(text, peer, is_encrypted, user, database), line, "{peer} {user} {database}");
    }
    for (address, line) in [("127.0.0.1", Some(1)), ("127.9.9.9", None)] {
        assert_eq!(decided("host all all samehost trust", address, false, "anna", "x"), line);
    }
    assert_eq!(decided("host all all samenet trust", "127.9.9.9", false, "anna", "x"), Some(1));
    assert_eq!(decided("host all all 0.0.0.0/0 trust", "8.8.8.8", false, "anna", "x"), Some(1));
    assert_eq!(decided("host replication all all trust", "8.8.8.8", false, "anna", "x"), None);
}

#[test]
fn lines_that_are_no_rules_are_explained() {
    for (line, message) in [
        ("remote all all trust", "invalid connection type \"remote\""),
        ("local,host all all trust", "multiple values specified for connection type"),
        ("local", "end-of-line before database specification"),
        ("local all", "end-of-line before role specification"),
        ("local all all", "end-of-line before authentication method"),
        ("host all all", "end-of-line before IP address specification"),
        ("host all all 1.2.3.4,5.6.7.8 trust", "multiple values specified for host address"),
        ("host all all 1.2.3.4", "end-of-line before netmask specification"),
        ("host all all 1.2.3.4/33 trust", "invalid CIDR mask in address \"1.2.3.4/33\""),
        ("host all all here/8 trust", "specifying both host name and CIDR mask is invalid: \"here/8\""),
        ("host all all 1.2.3.4 ffff:: trust", "IP address and mask do not match"),
        ("host all all all", "end-of-line before authentication method"),
        ("host all all all trust,reject", "multiple values specified for authentication type"),
        ("local all all nonsense", "invalid authentication method \"nonsense\""),
        ("host all all all ldap", "invalid authentication method \"ldap\": not supported by this build"),
        ("host all all all peer", "peer authentication is only supported on local sockets"),
        ("host all all all cert", "cert authentication is only supported on hostssl connections"),
        ("local all all trust x", "authentication option not in name=value format: x"),
        ("local all all trust x=1", "unrecognized authentication option name: \"x\""),
        (
            "local all all trust map=x",
            "authentication option \"map\" is only valid for authentication methods ident, peer, gssapi, sspi, and cert",
        ),
        (
            "host all all all trust clientcert=verify-ca",
            "clientcert can only be configured for \"hostssl\" rows",
        ),
        ("hostssl all all all trust clientcert=x", "invalid value for clientcert: \"x\""),
        (
            "hostssl all all all cert clientcert=verify-ca",
            "clientcert can only be set to \"verify-full\" when using \"cert\" authentication",
        ),
    ] {
        assert_eq!(rules(line).err().as_deref(), Some(message), "{line}");
    }
}
