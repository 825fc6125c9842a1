//! A rule as the fields of a form, and back. Every field keeps what was typed; what is wrong with it is for the
//! model to say. Fields are called as errors of the model call them, such as `steps[0].pools[1].weight`.

use serde_json::{Map, Value, json};

use super::super::filters::percent_text;
use super::super::form::Form;
use super::places::FIELD;
use crate::model::{LastResort, Rule};

/// Steps and pools that one form is read for: more than a policy may have, so that the model refuses the rest.
const MAX_STEPS: usize = 12;
const MAX_POOLS: usize = 40;

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleForm {
    pub name: String,
    pub enabled: bool,
    pub regions: Vec<String>,
    /// Countries, networks and AS numbers, as `places` reads them.
    pub places: String,
    pub except_regions: Vec<String>,
    pub steps: Vec<StepForm>,
    /// `serve_anyway`, `no_answer`, `refuse`, or `pool` with the pool beside it.
    pub last_resort: String,
    pub last_pool: String,
    pub residency_lock: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StepForm {
    pub choose: String,
    pub percent: String,
    pub ms: String,
    pub pools: Vec<PoolForm>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PoolForm {
    pub pool: String,
    pub weight: String,
    pub canary: bool,
    pub bias: String,
}

impl Default for StepForm {
    fn default() -> Self {
        StepForm { choose: "weighted".into(), percent: "10".into(), ms: "10".into(), pools: Vec::new() }
    }
}

impl Default for PoolForm {
    fn default() -> Self {
        PoolForm { pool: String::new(), weight: "100".into(), canary: false, bias: "0".into() }
    }
}

impl RuleForm {
    /// A rule that nobody has filled in.
    pub fn empty() -> RuleForm {
        RuleForm { enabled: true, last_resort: "serve_anyway".into(), ..RuleForm::default() }
    }

    pub fn of_rule(rule: &Rule) -> RuleForm {
        let steps = rule.steps.iter().map(|step| StepForm {
            choose: word(&step.choose),
            percent: step.tolerance.percent.to_string(),
            ms: step.tolerance.ms.to_string(),
            pools: step
                .pools
                .iter()
                .map(|one| PoolForm {
                    pool: one.pool.to_string(),
                    weight: one.weight.to_string(),
                    canary: one.canary,
                    bias: one.bias.to_string(),
                })
                .collect(),
        });
        let (last_resort, last_pool) = match &rule.last_resort {
            LastResort::Pool(id) => ("pool".into(), id.to_string()),
            other => (other.to_string(), String::new()),
        };
        RuleForm {
            name: rule.name.clone(),
            enabled: rule.enabled,
            regions: rule.regions.iter().map(ToString::to_string).collect(),
            places: String::new(),
            except_regions: rule.except_regions.iter().map(ToString::to_string).collect(),
            steps: steps.collect(),
            last_resort,
            last_pool,
            residency_lock: rule.residency_lock.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// As typed; rows that were left empty are left out.
    pub fn of_form(form: &Form) -> RuleForm {
        let filled = |name: &str| form.all(name).filter(|value| !value.is_empty()).map(str::to_owned).collect();
        let steps = (0..MAX_STEPS).map(|step| StepForm::of_form(form, &format!("steps[{step}]")));
        RuleForm {
            name: form.text("name").into(),
            enabled: form.has("enabled"),
            regions: filled("regions"),
            places: form.text(FIELD).into(),
            except_regions: filled("except_regions"),
            steps: steps.filter(|step| !step.pools.is_empty()).collect(),
            last_resort: form.text("last_resort").into(),
            last_pool: form.text("last_pool").into(),
            residency_lock: form.text("residency_lock").into(),
        }
    }

    /// As the model reads it.
    pub fn to_value(&self) -> Value {
        let last_resort = match self.last_resort.as_str() {
            "pool" => format!("pool:{}", self.last_pool),
            word => word.to_owned(),
        };
        let steps: Vec<Value> = self.steps.iter().map(StepForm::to_value).collect();
        let lock = (!self.residency_lock.is_empty()).then_some(&self.residency_lock);
        json!({
            "name": self.name, "enabled": self.enabled, "regions": self.regions,
            "except_regions": self.except_regions, "steps": steps, "last_resort": last_resort, "residency_lock": lock,
        })
    }

    /// Does what a button of the form asks for, when it asks for something else than to keep the rule: `up:1` moves
    /// a step before the one above it, `drop:1` takes it out.
    pub fn rearrange(&mut self, button: &str) {
        let Some((what, at)) = button.split_once(':').and_then(|(what, at)| Some((what, at.parse::<usize>().ok()?)))
        else {
            return;
        };
        match what {
            "up" if at > 0 && at < self.steps.len() => self.steps.swap(at - 1, at),
            "drop" if at < self.steps.len() => drop(self.steps.remove(at)),
            _ => {}
        }
    }

    /// Puts `pool` where `from` stands: at a step and a pool of it, such as `1.0`, in the `last` resort, or as one more
    /// step, `then`. None takes it out. False where something else stands there by now.
    pub fn put(&mut self, spot: &str, from: &str, pool: &str) -> bool {
        match spot {
            "then" if pool.is_empty() => {}
            "then" => {
                let pools = vec![PoolForm { pool: pool.into(), ..PoolForm::default() }];
                self.steps.push(StepForm { pools, ..StepForm::default() });
            }
            "last" if self.last_pool != from => return false,
            "last" if pool.is_empty() => {
                (self.last_resort, self.last_pool) = ("serve_anyway".into(), String::new());
            }
            "last" => self.last_pool = pool.into(),
            _ => {
                let number = |text: &str| text.parse::<usize>().ok();
                let at = spot.split_once('.').and_then(|(step, at)| Some((number(step)?, number(at)?)));
                let step = at.and_then(|(step, at)| Some((self.steps.get_mut(step)?, at)));
                let Some((step, at)) = step.filter(|_| !from.is_empty()) else { return false };
                match step.pools.get_mut(at) {
                    Some(one) if one.pool == from => one.pool = pool.into(),
                    _ => return false,
                }
                step.pools.retain(|one| !one.pool.is_empty());
                self.steps.retain(|step| !step.pools.is_empty());
            }
        }
        true
    }

    /// The fields that the page shows, so that errors of anything else stand above the form.
    pub fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> =
            ["name", "enabled", "regions", FIELD, "except_regions", "last_resort", "residency_lock", "steps"]
                .map(str::to_owned)
                .into();
        shown.extend((0..self.regions.len()).map(|at| format!("regions[{at}]")));
        shown.extend((0..self.except_regions.len()).map(|at| format!("except_regions[{at}]")));
        for (at, step) in self.steps.iter().enumerate() {
            shown.extend(
                ["", ".choose", ".tolerance.percent", ".tolerance.ms", ".pools"].map(|end| format!("steps[{at}]{end}")),
            );
            for pool in 0..step.pools.len() {
                shown.extend(
                    [".pool", ".weight", ".canary", ".bias"].map(|end| format!("steps[{at}].pools[{pool}]{end}")),
                );
            }
        }
        shown
    }
}

impl StepForm {
    fn of_form(form: &Form, at: &str) -> StepForm {
        let pool = |pool: usize| {
            let field = |name: &str| format!("{at}.pools[{pool}].{name}");
            PoolForm {
                pool: form.text(&field("pool")).into(),
                weight: form.text(&field("weight")).into(),
                canary: form.has(&field("canary")),
                bias: form.text(&field("bias")).into(),
            }
        };
        let pools = (0..MAX_POOLS).take_while(|number| form.has(&format!("{at}.pools[{number}].pool"))).map(pool);
        StepForm {
            choose: form.text(&format!("{at}.choose")).into(),
            percent: form.text(&format!("{at}.tolerance.percent")).into(),
            ms: form.text(&format!("{at}.tolerance.ms")).into(),
            pools: pools.filter(|pool| !pool.pool.is_empty()).collect(),
        }
    }

    /// True where the answers are shared out among pools, so that weights and ways to choose mean something.
    pub fn shares_out(&self) -> bool {
        let usual = PoolForm::default();
        let filled = || self.pools.iter().filter(|one| !one.pool.is_empty());
        let is_usual = |one: &PoolForm| one.weight == usual.weight && !one.canary && one.bias == usual.bias;
        filled().count() > 1 || self.choose != StepForm::default().choose || !filled().all(is_usual)
    }

    /// The part that a pool has of what comes to the step by weight, where there is something to share.
    pub fn share(&self, at: &usize) -> Option<String> {
        let weight = |one: &PoolForm| one.weight.parse::<u32>().ok();
        let filled = || self.pools.iter().filter(|one| !one.pool.is_empty());
        let total: u32 = filled().map(weight).sum::<Option<u32>>()?;
        let own = self.pools.get(*at).filter(|one| !one.pool.is_empty())?;
        let shares = self.choose == "weighted" && filled().count() > 1 && total > 0;
        let own = f64::from(weight(own)?);
        shares.then(|| percent_text(own / f64::from(total)))
    }

    fn to_value(&self) -> Value {
        let mut tolerance = Map::new();
        put(&mut tolerance, "percent", number(&self.percent));
        put(&mut tolerance, "ms", number(&self.ms));
        let pools = self.pools.iter().map(|one| {
            let mut value = Map::new();
            put(&mut value, "pool", Some(one.pool.as_str().into()));
            // An empty one is for the model to refuse: nobody is given a default that they did not see.
            put(&mut value, "weight", number(&one.weight).or_else(|| Some("".into())));
            put(&mut value, "canary", Some(one.canary.into()));
            put(&mut value, "bias", number(&one.bias));
            Value::from(value)
        });
        let pools: Vec<Value> = pools.collect();
        let choose = if self.choose.is_empty() { "weighted" } else { &self.choose };
        json!({ "pools": pools, "choose": choose, "tolerance": tolerance })
    }
}

fn put(map: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    map.extend(value.map(|value| (name.to_owned(), value)));
}

/// What was typed for a number: nothing is the default, and what is none stays text for the model to refuse.
pub fn number(typed: &str) -> Option<Value> {
    if typed.is_empty() {
        return None;
    }
    Some(typed.parse::<i64>().map_or_else(|_| Value::from(typed), Value::from))
}

/// The word of an enum as JSON has it.
pub fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Choose, Step, StepPool, Tolerance};
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    /// As a browser would send the form.
    fn sent(form: &RuleForm) -> Form {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut put = |name: String, value: &str| fields.push((name, value.to_owned()));
        put("name".into(), &form.name);
        if form.enabled {
            put("enabled".into(), "on");
        }
        // Each list ends with a row for one more.
        form.regions.iter().for_each(|id| put("regions".into(), id));
        put("regions".into(), "");
        form.except_regions.iter().for_each(|id| put("except_regions".into(), id));
        put("except_regions".into(), "");
        let blank = StepForm::default();
        for (at, step) in form.steps.iter().chain([&blank]).enumerate() {
            put(format!("steps[{at}].choose"), &step.choose);
            put(format!("steps[{at}].tolerance.percent"), &step.percent);
            put(format!("steps[{at}].tolerance.ms"), &step.ms);
            let one_more = PoolForm::default();
            for (number, pool) in step.pools.iter().chain([&one_more]).enumerate() {
                let at = format!("steps[{at}].pools[{number}]");
                put(format!("{at}.pool"), &pool.pool);
                put(format!("{at}.weight"), &pool.weight);
                if pool.canary {
                    put(format!("{at}.canary"), "on");
                }
                put(format!("{at}.bias"), &pool.bias);
            }
        }
        put("last_resort".into(), &form.last_resort);
        put("last_pool".into(), &form.last_pool);
        put("residency_lock".into(), &form.residency_lock);
        Form(fields)
    }

    fn id<T>() -> impl Strategy<Value = crate::model::Id<T>> {
        "[a-z0-9-]{1,12}".prop_map(|id| id.parse().unwrap())
    }

    fn a_step() -> impl Strategy<Value = Step> {
        let pool = (id(), 0..=1000u16, any::<bool>(), -99..=99i8);
        let pool = pool.prop_map(|(pool, weight, canary, bias)| StepPool { pool, weight, canary, bias });
        let choose = prop_oneof![Just(Choose::Weighted), Just(Choose::Nearest), Just(Choose::Fastest)];
        let tolerance = (0..=100u8, 0..=1000u16).prop_map(|(percent, ms)| Tolerance { percent, ms });
        (vec(pool, 1..6), choose, tolerance).prop_map(|(pools, choose, tolerance)| Step { pools, choose, tolerance })
    }

    fn a_rule() -> impl Strategy<Value = Rule> {
        let last = prop_oneof![
            Just(LastResort::ServeAnyway),
            Just(LastResort::NoAnswer),
            Just(LastResort::Refuse),
            id().prop_map(LastResort::Pool),
        ];
        let name = "([a-zA-Zé<&\"]([a-zA-Zé<&\" ]{0,20}[a-z])?)?";
        (name, any::<bool>(), vec(id(), 0..4), vec(id(), 0..3), vec(a_step(), 1..5), last, option::of(id())).prop_map(
            |(name, enabled, regions, except_regions, steps, last_resort, residency_lock)| Rule {
                name,
                enabled,
                regions,
                except_regions,
                steps,
                last_resort,
                residency_lock,
            },
        )
    }

    proptest! {
        #[test]
        fn a_rule_comes_back_from_its_form_as_it_was(rule in a_rule()) {
            let form = RuleForm::of_rule(&rule);
            let back = RuleForm::of_form(&sent(&form));
            prop_assert_eq!(&back, &form);
            let read: Rule = serde_json::from_value(back.to_value()).unwrap();
            prop_assert_eq!(read, rule);
        }
    }

    #[test]
    fn what_is_no_number_is_kept_for_the_model_to_refuse() {
        let typed = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let form = Form(vec![
            typed("steps[0].pools[0].pool", "eu"),
            typed("steps[0].pools[0].weight", "many"),
            typed("steps[0].pools[1].pool", ""),
            typed("steps[0].pools[2].pool", "us"),
            typed("steps[0].pools[2].weight", ""),
        ]);
        let value = RuleForm::of_form(&form).to_value();
        let pools = value["steps"][0]["pools"].as_array().unwrap();
        assert_eq!(pools.len(), 2);
        assert_eq!((&pools[0]["weight"], &pools[1]["weight"]), (&json!("many"), &json!("")));
    }

    #[test]
    fn weights_are_asked_for_where_pools_share() {
        let step = |weights: &[&str], choose: &str| {
            let pool = |weight: &&str| PoolForm { pool: "eu".into(), weight: (*weight).into(), ..PoolForm::default() };
            let pools = weights.iter().map(pool).chain([PoolForm::default()]).collect();
            StepForm { choose: choose.into(), pools, ..StepForm::default() }.shares_out()
        };
        assert!(!step(&[], "weighted") && !step(&["100"], "weighted"));
        assert!(step(&["100", "100"], "weighted") && step(&["100"], "nearest") && step(&["0"], "weighted"));
    }

    #[test]
    fn a_chip_changes_one_pool_and_only_the_one_that_was_seen() {
        let pool =
            |pool: &str, weight: &str| PoolForm { pool: pool.into(), weight: weight.into(), ..PoolForm::default() };
        let step = |pools: &[PoolForm]| StepForm { pools: pools.to_vec(), ..StepForm::default() };
        let steps = vec![step(&[pool("a", "90"), pool("b", "10")]), step(&[pool("c", "100")])];
        let rule = RuleForm { steps, last_resort: "pool".into(), last_pool: "z".into(), ..RuleForm::default() };
        let put = |spot: &str, from: &str, to: &str| {
            let mut rule = rule.clone();
            let done = rule.put(spot, from, to);
            let one = |one: &PoolForm| format!("{}{}", one.pool, one.weight);
            let steps = rule.steps.iter().map(|step| step.pools.iter().map(one).collect::<Vec<_>>().join("+"));
            let said = format!("{} {}:{}", steps.collect::<Vec<_>>().join(" "), rule.last_resort, rule.last_pool);
            done.then_some(said)
        };
        for (spot, from, to, expected) in [
            ("0.1", "b", "x", Some("a90+x10 c100 pool:z")),
            ("0.0", "a", "", Some("b10 c100 pool:z")),
            ("1.0", "c", "", Some("a90+b10 pool:z")),
            ("then", "", "x", Some("a90+b10 c100 x100 pool:z")),
            ("then", "", "", Some("a90+b10 c100 pool:z")),
            ("last", "z", "x", Some("a90+b10 c100 pool:x")),
            ("last", "z", "", Some("a90+b10 c100 serve_anyway:")),
            ("0.1", "a", "x", None),
            ("last", "a", "x", None),
            ("7.0", "a", "x", None),
            ("1.9", "", "x", None),
            ("x", "a", "x", None),
        ] {
            assert_eq!(put(spot, from, to).as_deref(), expected, "{spot} {from} {to}");
        }
    }

    #[test]
    fn buttons_move_and_drop_steps_and_nothing_else() {
        let step = |pool: &str| StepForm {
            pools: vec![PoolForm { pool: pool.into(), ..PoolForm::default() }],
            ..StepForm::default()
        };
        let order = |button: &str| {
            let mut form = RuleForm { steps: vec![step("a"), step("b"), step("c")], ..RuleForm::empty() };
            form.rearrange(button);
            form.steps.iter().map(|step| step.pools[0].pool.clone()).collect::<String>()
        };
        for (button, expected) in
            [("up:1", "bac"), ("up:0", "abc"), ("up:9", "abc"), ("drop:2", "ab"), ("drop:9", "abc"), ("more", "abc")]
        {
            assert_eq!(order(button), expected, "{button}");
        }
    }
}
