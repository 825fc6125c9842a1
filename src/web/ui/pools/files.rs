//! What the pages of a pool and its endpoints show, as files. Decides nothing.

use std::collections::BTreeMap;

use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;

use super::super::export::Format;
use super::super::state::family_word;
use super::super::visit::Visit;
use super::{Scene, chart, endpoint, show, tabs, uses};
use crate::web::Problem;
use crate::web::extract::Path;

pub async fn endpoints(visit: Visit, Path(id): Path<String>, format: Format) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let rows = show::rows(&visit, &scene, &BTreeMap::new()).into_iter().map(|row| {
        let results: Vec<String> = row.results.iter().map(|seen| format!("{}: {}", seen.who, seen.text)).collect();
        let after: Option<u16> = row.weight.parse().ok();
        let now = if row.is_new { None } else { row.was.or(after) };
        let after = after.filter(|_| !row.is_removed);
        json!([row.id, row.addresses, row.state.word(), now, after, row.now, row.after, results.join("; ")])
    });
    let columns = [
        "endpoint",
        "addresses",
        "state",
        "weight",
        "weight_with_draft",
        "share_now",
        "share_with_draft",
        "last_results",
    ];
    format.table(&format!("endpoints-{}", scene.id), &columns, rows)
}

/// The mean of each minute.
pub async fn probe_times(visit: Visit, Path(id): Path<String>, format: Format) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let series = chart::series(&visit, &scene);
    let rows = series.into_iter().flat_map(|(endpoint, minutes)| {
        minutes.into_iter().map(move |(minute, ms)| {
            let at = i64::try_from(minute * 60).ok().and_then(|at| Timestamp::from_second(at).ok());
            json!([at.unwrap_or_default(), endpoint, (ms * 1000.0).round() / 1000.0])
        })
    });
    format.table(&format!("probe-times-{}", scene.id), &["minute", "endpoint", "mean_ms"], rows)
}

pub async fn used_by(visit: Visit, Path(id): Path<String>, format: Format) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let users = uses(&scene.live);
    let mine = users.get(&scene.id).into_iter().flatten();
    let rows = mine.filter_map(|used| {
        let policy = scene.live.policies.get(used.policy)?;
        let rule = policy.rules.get(used.rule)?;
        let names: Vec<String> =
            policy.attach.iter().map(|attach| attach.name.to_string().trim_end_matches('.').to_owned()).collect();
        Some(json!([names, used.policy, used.rule + 1, rule.name, used.step.map(|step| step + 1)]))
    });
    format.table(&format!("used-by-{}", scene.id), &["names", "policy", "rule", "rule_name", "step"], rows)
}

pub async fn history(visit: Visit, Path(id): Path<String>, format: Format) -> Result<Response, Problem> {
    let scene = Scene::of(&visit, &id).await?;
    let events = tabs::events(&visit, &tabs::subjects(&scene), tabs::SHOWN).await?;
    let rows = events
        .iter()
        .map(|event| json!([event.at, event.subject, event.from, event.to, event.cause, event.actor, event.incident]));
    let columns = ["at", "subject", "from", "to", "cause", "actor", "incident"];
    format.table(&format!("history-{}", scene.id), &columns, rows)
}

/// What every check of an endpoint found last.
pub async fn findings(
    visit: Visit,
    Path((pool, id)): Path<(String, String)>,
    format: Format,
) -> Result<Response, Problem> {
    let (_, id) = endpoint::of(&visit, &pool, &id).await?;
    let checks = visit.web.control.checks(id.clone()).await?;
    let rows = checks.iter().map(|check| {
        let role = tabs::role_word(check.role);
        let (monitor, family, ends) = (&check.monitor, family_word(check.family), check.certificate_ends);
        json!([monitor, family, role, check.state, check.finding, check.trouble, ends])
    });
    let columns = ["monitor", "family", "role", "state", "finding", "trouble", "certificate_ends"];
    format.table(&format!("findings-{id}"), &columns, rows)
}

/// The last checks of an endpoint, as evidence for whoever runs it.
pub async fn checks(
    visit: Visit,
    Path((pool, id)): Path<(String, String)>,
    format: Format,
) -> Result<Response, Problem> {
    let (_, id) = endpoint::of(&visit, &pool, &id).await?;
    let rows = endpoint::rows(&visit, &id).into_iter().map(|check| {
        let times = [check.connect, check.tls, check.first_byte, check.total];
        let [connect, tls, first_byte, total] = times.map(|ms| ms.parse::<f64>().ok());
        json!([
            check.at,
            check.monitor,
            check.family,
            if check.passed { "passed" } else { "failed" },
            check.status,
            check.reason,
            connect,
            tls,
            first_byte,
            total,
            check.excerpt,
        ])
    });
    let columns = [
        "at",
        "monitor",
        "family",
        "result",
        "status",
        "reason",
        "connect_ms",
        "tls_ms",
        "first_byte_ms",
        "total_ms",
        "excerpt",
    ];
    format.table(&format!("checks-{id}"), &columns, rows)
}
