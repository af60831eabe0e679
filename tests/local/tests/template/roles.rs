//! The roles: one for each function, with only the rights that its code needs.

use std::{collections::BTreeSet, env, fmt, fs};

use serde_json::Value;

use crate::{DEFAULT, list, owners, permission_of, project, template, text, texts};

const REVIEWED: &str = "tests/local/tests/template/roles.txt";

#[test]
fn s20_every_function_has_a_role_of_its_own() {
    let mut roles = BTreeSet::new();
    for (name, function) in template().of("AWS::Lambda::Function") {
        let role = text(&function["Role"]);
        assert_eq!(role, format!("${{{name}Role.Arn}}"));
        assert!(roles.insert(role), "{name} shares its role");
    }
    for (name, role) in template().of("AWS::IAM::Role") {
        let who = trusted(role);
        match name.strip_suffix("ScheduleRole") {
            Some(_) => assert_eq!(who, ["scheduler.amazonaws.com"], "{name}"),
            None => assert_eq!(who, ["lambda.amazonaws.com"], "{name}"),
        }
    }
}

/// SAM adds AWS's managed policies to the roles that it makes. They allow more than is needed, and AWS changes them.
#[test]
fn s20_a_role_says_itself_all_that_it_may() {
    for (name, role) in template().of("AWS::IAM::Role") {
        assert_eq!(role.get("ManagedPolicyArns"), None, "{name}");
    }
}

#[test]
fn s20_no_role_may_do_every_action_or_touch_every_resource() {
    for permission in permissions() {
        let Permission { action, resource, .. } = &permission;
        assert!(!action.contains(['*', '?']), "{permission}");
        // The only wildcard is the rest of a key, below one of the bucket's folders.
        let folder = resource.strip_prefix("${Bucket.Arn}/").and_then(|key| key.strip_suffix("/*"));
        let bounded = match folder {
            Some(folder) => ["files", "uploads", "thumbnails", "zips"].contains(&folder),
            None => !resource.contains(['*', '?']),
        };
        assert!(bounded, "{permission}");
        // A name alone could be that of any resource.
        assert!(resource.starts_with("${") || resource.starts_with("arn:${AWS::Partition}:ssm:"), "{permission}");
    }
}

#[test]
fn s20_s3_may_only_send_to_the_queue_of_this_stack() {
    for (name, policy) in template().of("AWS::SQS::QueuePolicy").chain(template().of("AWS::S3::BucketPolicy")) {
        for statement in list(&policy["PolicyDocument"]["Statement"]) {
            if statement["Effect"] == "Deny" {
                continue;
            }
            assert_eq!(texts(&statement["Principal"]["Service"]), ["s3.amazonaws.com"], "{name}");
            assert_eq!(texts(&statement["Action"]), ["sqs:SendMessage"], "{name}");
            assert_eq!(texts(&statement["Resource"]), ["${Queue.Arn}"], "{name}");
            let bucket = text(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]);
            let name_of_bucket = text(&template().named("Bucket")["BucketName"]);
            assert_eq!(bucket, format!("arn:${{AWS::Partition}}:s3:::{name_of_bucket}"));
            let account = text(&statement["Condition"]["StringEquals"]["aws:SourceAccount"]);
            assert_eq!(account, "${AWS::AccountId}");
        }
    }
    for (name, permission) in template().of("AWS::Lambda::Permission") {
        assert_eq!(permission["Principal"], "apigateway.amazonaws.com", "{name}");
        assert_eq!(permission["Action"], "lambda:InvokeFunction", "{name}");
        let (api, _) = permission_of(permission);
        assert_eq!(api, "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}", "{name}");
    }
    let policy = template().only("AWS::SNS::TopicPolicy");
    assert_eq!(texts(&policy["Topics"]), ["${AlarmTopic}"]);
    let [statement] = list(&policy["PolicyDocument"]["Statement"]) else { panic!("one thing is allowed") };
    assert_eq!(texts(&statement["Principal"]["Service"]), ["cloudwatch.amazonaws.com"]);
    assert_eq!(texts(&statement["Action"]), ["sns:Publish"]);
    assert_eq!(texts(&statement["Resource"]), ["${AlarmTopic}"]);
    assert_eq!(text(&statement["Condition"]["ArnEquals"]["aws:SourceArn"]), "${DeadLetterAlarm.Arn}");
    assert_eq!(text(&statement["Condition"]["StringEquals"]["aws:SourceAccount"]), "${AWS::AccountId}");
    let default = owners().remove(DEFAULT);
    let everything = template().of("AWS::Lambda::Permission").find(|(_, of)| permission_of(of).1 == DEFAULT);
    assert_eq!(everything.map(|(_, of)| text(&of["FunctionName"])), default.map(|owner| format!("${{{owner}}}")));
}

#[test]
fn s20_functions_for_passwords_and_status_have_no_bucket_and_no_queue() {
    for permission in permissions() {
        if ["authRole", "usersRole", "statusRole", "webRole"].contains(&permission.role) {
            let service = permission.action.split(':').next();
            assert!(matches!(service, Some("logs" | "ssm")), "{permission}");
        }
    }
}

/// The files of the app come from the same function as cookies, but nothing of a user's files does.
#[test]
fn s20_the_function_of_the_web_app_knows_redis_alone() {
    let may = permissions().into_iter().filter(|permission| permission.role == "webRole");
    let secrets: Vec<String> =
        may.filter(|permission| permission.action.starts_with("ssm:")).map(|may| may.resource).collect();
    let [redis] = &secrets[..] else { panic!("{secrets:?}") };
    assert!(redis.ends_with("parameter${RedisUrlParameter}"), "{redis}");
}

#[test]
fn s20_only_four_functions_read_what_was_uploaded() {
    for folder in ["files", "uploads"] {
        assert_eq!(who_may("s3:GetObject", folder), ["archivesRole", "contentRole", "linksRole", "thumbnailsRole"]);
    }
    assert_eq!(who_may("s3:GetObject", "thumbnails"), ["contentRole", "linksRole"]);
    assert_eq!(who_may("s3:GetObject", "zips"), ["archivesRole", "filesRole", "linksRole"]);
    for permission in permissions() {
        let reads = permission.action.starts_with("s3:Get");
        assert!(!reads || permission.action == "s3:GetObject", "{permission}");
    }
}

#[test]
fn s20_only_thumbnails_writes_thumbnails() {
    assert_eq!(who_may("s3:PutObject", "thumbnails"), ["thumbnailsRole"]);
    assert_eq!(who_may("s3:PutObject", "files"), ["filesRole"]);
    assert_eq!(who_may("s3:PutObject", "zips"), ["archivesRole"]);
}

/// A change of a role appears in the review of that file.
#[test]
fn s20_every_role_is_as_it_was_reviewed() {
    let path = project(REVIEWED);
    let is: BTreeSet<String> = permissions().iter().map(Permission::to_string).collect();
    if env::var_os("REVIEW_ROLES").is_some() {
        let lines: Vec<&str> = is.iter().map(String::as_str).collect();
        fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let reviewed: BTreeSet<String> = fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    let more: Vec<_> = is.difference(&reviewed).collect();
    let less: Vec<_> = reviewed.difference(&is).collect();
    assert!(
        more.is_empty() && less.is_empty(),
        "roles have got {more:#?} and lost {less:#?}; if that is meant, this writes {REVIEWED} anew:\n\
         REVIEW_ROLES=1 cargo test --package local --test template s20_every_role_is_as_it_was_reviewed"
    );
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Permission {
    role: &'static str,
    action: String,
    resource: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.role, self.action, self.resource)
    }
}

/// All permissions of the roles, sorted.
fn permissions() -> Vec<Permission> {
    let mut permissions = Vec::new();
    let own = template()
        .of("AWS::IAM::Role")
        .flat_map(|(role, of)| of["Policies"].as_array().unwrap().iter().map(move |policy| (role, policy)));
    let added = template().of("AWS::IAM::Policy").map(|(name, policy)| {
        let [role] = &texts(&policy["Roles"])[..] else { panic!("{name} is for one role") };
        let role = role.strip_prefix("${").and_then(|role| role.strip_suffix('}')).unwrap();
        (template().of("AWS::IAM::Role").map(|(name, _)| name).find(|name| *name == role).unwrap(), policy)
    });
    for (role, policy) in own.chain(added) {
        for statement in list(&policy["PolicyDocument"]["Statement"]) {
            // No statement has `NotAction`, which allows all actions but those that it names.
            let keys: Vec<_> = statement.as_object().unwrap().keys().collect();
            let mut known =
                keys.iter().filter(|key| !["Action", "Condition", "Effect", "Resource", "Sid"].contains(&key.as_str()));
            assert_eq!(known.next(), None, "in a statement of {role}");
            assert_eq!(statement["Effect"], "Allow", "in a statement of {role}");
            for action in texts(&statement["Action"]) {
                for resource in texts(&statement["Resource"]) {
                    permissions.push(Permission { role, action: action.clone(), resource });
                }
            }
        }
    }
    permissions.sort();
    permissions.dedup();
    permissions
}

fn trusted(role: &Value) -> Vec<String> {
    let statements = list(&role["AssumeRolePolicyDocument"]["Statement"]);
    let [statement] = statements else { panic!("{statements:?}") };
    assert_eq!(texts(&statement["Action"]), ["sts:AssumeRole"]);
    assert_eq!(statement["Principal"].as_object().unwrap().len(), 1);
    texts(&statement["Principal"]["Service"])
}

/// The roles with this action on the objects of one of the bucket's folders, sorted.
fn who_may(action: &str, folder: &str) -> Vec<&'static str> {
    let resource = format!("${{Bucket.Arn}}/{folder}/*");
    let mut who: Vec<_> = permissions()
        .into_iter()
        .filter(|permission| permission.action == action && permission.resource == resource)
        .map(|permission| permission.role)
        .collect();
    who.dedup();
    who
}
