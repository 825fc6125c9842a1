//! `explain`: what a client gets, and why, in sentences.

use serde_json::Value;

use super::client::{Client, escape};
use super::{Explain, Failure, print};

pub async fn explain(asked: &Explain) -> Result<(), Failure> {
    let client = Client::connect(&asked.target).await?;
    let resolver = asked.resolver.as_deref().map_or(String::new(), |address| format!("&resolver={}", escape(address)));
    let (name, place, rtype) = (escape(&asked.name), escape(&asked.client), escape(&asked.rtype));
    let at = asked.at.as_deref().map_or(String::new(), |version| format!("&at={}", escape(version)));
    let down = match asked.down.join(",") {
        none if none.is_empty() => none,
        pools => format!("&down={}", escape(&pools)),
    };
    let path = format!("/api/v1/explain?name={name}&client={place}&type={rtype}{resolver}{at}{down}");
    let trace: Value = client.get(&path).await?.json()?;
    client.close().await;
    if asked.json {
        print(&serde_json::to_string_pretty(&trace).unwrap_or_default())?;
    } else {
        print(&told(&trace))?;
    }
    Ok(())
}

/// The sentences, then the table of pools, then the records.
fn told(trace: &Value) -> String {
    let mut text = String::new();
    for sentence in items(&trace["sentences"]) {
        text.push_str(&format!("{}\n", sentence.as_str().unwrap_or_default()));
    }
    let steps = &trace["steering"]["steps"];
    if !items(steps).is_empty() {
        text.push_str("\n  step  pool                      state    share   why\n");
    }
    for (number, step) in items(steps).iter().enumerate() {
        for pool in items(&step["pools"]) {
            let field = |name: &str| pool[name].as_str().unwrap_or_default().to_owned();
            let odds = pool["odds"].as_f64().map_or("-".to_owned(), |odds| format!("{:.1} %", odds * 100.0));
            let (name, state, reason) = (field("pool"), field("state"), field("reason"));
            text.push_str(&format!("  {:<5} {name:<25} {state:<7} {odds:>7}   {reason}\n", number + 1));
        }
    }
    text.push('\n');
    for section in ["answer", "authority"] {
        for record in items(&trace[section]) {
            let field = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("  {} {} {} {}\n", field("name"), record["ttl"], field("type"), field("value")));
        }
    }
    let ttl = items(&trace["answer"]).first().map_or(String::new(), |record| format!(", TTL {} s", record["ttl"]));
    let rcode = trace["rcode"].as_str().unwrap_or_default();
    text.push_str(&format!("  {rcode}{ttl}, scope /{}\n", trace["scope"]));
    text
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
