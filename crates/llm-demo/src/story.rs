//! A long answer without a model: the same words for the same length.

const WHO: [&str; 7] = [
    "the keeper",
    "a passing barge",
    "the old lock gate",
    "the ferryman",
    "a grey heron",
    "the harbour clerk",
    "the tide",
];
const DID: [&str; 8] = [
    "waited for the water to rise",
    "asked politely to be let through",
    "wrote one more line into the log",
    "counted the boats of the morning",
    "held the rope without a word",
    "turned the great wheel by a hand's breadth",
    "looked twice at the seal on the letter",
    "remembered every name",
];
const WHEN: [&str; 5] = ["At dawn", "A little later", "When the bell rang", "After some thought", "Before night fell"];
const WHY: [&str; 6] = [
    "because nothing passes here unasked",
    "as the rules of the canal require",
    "and nobody was in a hurry",
    "while the lamps burned low",
    "so that no boat was lost",
    "and then it was quiet again",
];
const SENTENCES_IN_PARAGRAPH: usize = 6;

/// A story of exactly `words` words.
pub(crate) fn story(words: usize) -> String {
    let mut text = String::new();
    let mut left = words;
    for number in 0.. {
        if left == 0 {
            break;
        }
        // The lengths of the lists share no factor, so that sentences repeat only after all combinations.
        let (when, who) = (WHEN[number % WHEN.len()], WHO[number % WHO.len()]);
        let (did, why) = (DID[number % DID.len()], WHY[(number / 2) % WHY.len()]);
        let sentence = format!("{when} {who} {did}, {why}");
        let taken: Vec<&str> = sentence.split(' ').take(left).collect();
        left -= taken.len();
        text.push_str(taken.join(" ").trim_end_matches(','));
        let paragraph_ends = (number + 1).is_multiple_of(SENTENCES_IN_PARAGRAPH);
        text.push_str(if left == 0 {
            "."
        } else if paragraph_ends {
            ".\n\n"
        } else {
            ". "
        });
    }
    text
}
