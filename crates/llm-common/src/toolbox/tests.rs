use super::*;
use lockkeeper_domain::{StopReason, Usage};
use lockkeeper_ports::ProposedCall;
use lockkeeper_testkit::llm::history::tool;
use serde_json::json;

const SETTING: &str = "llm.x.tools";

fn pack(tools: &[ToolDefinition], choice: &ToolChoice, memory: &Memory) -> Toolbox {
    Toolbox::pack(tools, &Dialect { max_tools: 4, ..Dialect::CLAUDE }, (choice, SETTING), (memory, "m"))
}

fn many(servers: &[(&str, usize)]) -> Vec<ToolDefinition> {
    let of = |(server, count): &(&str, usize)| {
        let server = (*server).to_owned();
        (0..*count).map(move |n| tool(&server, &format!("t{n}"), &json!({"a": {"type": "string"}})))
    };
    servers.iter().flat_map(of).collect()
}

fn names(toolbox: &Toolbox) -> Vec<&str> {
    toolbox.tools().iter().map(|tool| tool.name.as_str()).collect()
}

#[test]
fn each_server_keeps_a_share_of_the_limit() {
    let tools = many(&[("a", 6), ("b", 1), ("c", 3)]);
    let mut toolbox = pack(&tools, &ToolChoice::default(), &Memory::default());
    assert_eq!(names(&toolbox), ["a__t0", "a__t1", "b__t0", "c__t0"]);
    let notices = toolbox.take_notices();
    let [Notice::ToolsLeftOut { tools, reason }] = notices.as_slice() else { panic!("one notice: {notices:?}") };
    assert_eq!(tools.len(), 6);
    assert!(reason.contains("at most 4") && reason.contains("llm.x.tools.max"), "{reason}");
    assert!(toolbox.take_notices().is_empty(), "it is said once");
}

#[test]
fn settings_choose_what_is_offered() {
    let tools = many(&[("a", 6), ("b", 2)]);
    let first = ["b".to_owned(), "a__t5".to_owned()].to_vec();
    let leave_out = ["a__t0".to_owned()].to_vec();
    let choice = ToolChoice { max: Some(4), first, leave_out };
    let toolbox = pack(&tools, &choice, &Memory::default());
    assert_eq!(names(&toolbox), ["a__t1", "a__t5", "b__t0", "b__t1"]);
    let all = pack(&many(&[("a", 3)]), &ToolChoice { leave_out: vec!["a".to_owned()], ..choice }, &Memory::default());
    assert!(all.tools().is_empty());
}

#[test]
fn a_refused_tool_is_left_out_and_remembered_once_the_rest_is_taken() {
    let (tools, memory) = (many(&[("a", 3)]), Memory::default());
    let mut toolbox = pack(&tools, &ToolChoice::default(), &memory);
    let words = "Invalid schema for function 'a__t1': it is odd";
    let named = Some(Conceded::Tool(tools[1].name.clone()));
    assert_eq!(toolbox.concede(words, false), named);
    assert_eq!(names(&toolbox), ["a__t0", "a__t2"]);
    assert_eq!(toolbox.take_notices().len(), 1);
    assert_eq!(names(&pack(&tools, &ToolChoice::default(), &memory)).len(), 3, "not yet known to be the reason");
    toolbox.accepted(&memory, "m");
    let mut again = pack(&tools, &ToolChoice::default(), &memory);
    assert_eq!(names(&again), ["a__t0", "a__t2"]);
    assert_eq!(again.take_notices().len(), 1, "another session is told as well");
    let mut changed = tools.clone();
    changed[1].input_schema = json!({"type": "object", "properties": {}});
    assert_eq!(names(&pack(&changed, &ToolChoice::default(), &memory)).len(), 3, "another definition is tried");
}

#[test]
fn a_refusal_that_names_no_tool_makes_all_of_them_plain_once() {
    let mut toolbox = pack(&many(&[("a", 2)]), &ToolChoice::default(), &Memory::default());
    assert_eq!(toolbox.concede("a schema cannot be read", false), Some(Conceded::Plain));
    assert_eq!(toolbox.concede("a schema cannot be read", false), None);
    assert_eq!(toolbox.concede("the conversation is odd", false), None);
}

#[test]
fn a_limit_that_the_vendor_names_is_kept() {
    let memory = Memory::default();
    let tools = many(&[("a", 4)]);
    let mut toolbox = pack(&tools, &ToolChoice::default(), &memory);
    assert_eq!(toolbox.concede("Too many tools: at most 3 are supported", false), Some(Conceded::Fewer(3)));
    toolbox.accepted(&memory, "m");
    assert_eq!(pack(&tools, &ToolChoice::default(), &memory).tools().len(), 3);
}

#[test]
fn arguments_of_calls_get_their_own_names_back() {
    let tools = [tool("a", "t", &json!({"$top": {"type": "integer"}}))];
    let toolbox = pack(&tools, &ToolChoice::default(), &Memory::default());
    let call = |name: &str| ProposedCall { provider_id: None, name: name.to_owned(), args: json!({"_top": 1}) };
    let mut completion = Completion {
        text: String::new(),
        reasoning: None,
        calls: vec![call("a__t"), call("other")],
        stop: StopReason::EndTurn,
        usage: Usage::default(),
        replay: None,
    };
    toolbox.restore(&mut completion);
    assert_eq!(completion.calls[0].args, json!({"$top": 1}));
    assert_eq!(completion.calls[1].args, json!({"_top": 1}));
}
