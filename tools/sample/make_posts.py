#!/usr/bin/env python3
"""make_posts.py [--seed N] [--posts N] [--seconds N] - invent posts of a small town's evening, as JSON lines.

posts.jsonl was made by `make_posts.py > posts.jsonl` (the seed is in DEFAULT_SEED).

The model: a few hundred people, some of whom write far more than others (Zipf); a dozen subjects whose share
of the talk swells and fades around moments of their own, above a steady murmur; each post is a sentence from
its subject's parts, with none to three of its hashtags, written as people do (any case, in the middle or at
the end). Posts come at random moments (Poisson), and some arrive up to a second late. A few are odd on
purpose: a lone '#', doubled ones, a tag longer than the limit, letters beyond ASCII, no text at all.
"""

import argparse
import json
import math
import random
import sys

DEFAULT_SEED = 20260131
START_MS = 1769882400000  # 2026-01-31 18:00 UTC

# subject: (tags, who, does, what, moment in parts of the whole, width, height, murmur)
SUBJECTS = {
    "match": (["Derby", "HomeTeam", "Goal"], ["our keeper", "the captain", "number nine", "that referee"],
              ["saves", "misses", "wins", "nearly loses"], ["it in the last minute", "the whole half",
              "a penalty out of nowhere"], 0.62, 0.08, 9.0, 0.6),
    "rain": (["rain", "weather"], ["the sky", "my umbrella", "the tram stop", "everyone"],
             ["gives up", "pours", "hides", "waits"], ["again", "like in November", "for ten minutes now"],
             0.25, 0.12, 4.0, 0.7),
    "concert": (["OpenAir", "live", "SummerStage"], ["the drummer", "the band", "the crowd", "that encore"],
                ["plays", "sings", "shakes", "stops"], ["the old song", "without a microphone", "until ten"],
                0.8, 0.1, 6.0, 0.3),
    "bread": (["sourdough", "baking"], ["my starter", "this loaf", "the oven", "grandmother"],
              ["rises", "cracks", "smells", "knows"], ["at last", "better than the shop's", "like Sunday"],
              0.4, 0.3, 0.6, 0.8),
    "trains": (["Line7", "delays", "commute"], ["the 18:10", "line seven", "the loudspeaker", "platform two"],
               ["waits", "leaves", "apologises", "vanishes"], ["for nobody", "without me", "in three languages"],
               0.15, 0.07, 7.0, 0.5),
    "market": (["NightMarket", "streetfood", "café"], ["the dumpling stand", "somebody", "the queue", "a cat"],
               ["sells", "steals", "recommends", "guards"], ["the last plate", "coffee with cardamom", "the corner"],
               0.5, 0.2, 3.0, 0.5),
    "code": (["c11", "programming", "bug"], ["the build", "my test", "this pointer", "the linker"],
             ["passes", "fails", "points", "complains"], ["on the first try", "nowhere good", "since lunch"],
             0.5, 0.5, 0.3, 0.9),
    "election": (["TownHall", "vote2026"], ["the mayor", "the council", "my neighbour", "the clerk"],
                 ["counts", "promises", "reads", "doubts"], ["every bench", "the results twice", "a new bridge"],
                 0.93, 0.06, 8.0, 0.2),
    "garden": (["tomatoes", "garden", "bees"], ["the bees", "my tomatoes", "one snail", "the hedge"],
               ["love", "eat", "outgrow", "ignore"], ["the fence", "my plans", "the whole evening"],
               0.1, 0.4, 0.4, 0.5),
    "film": (["MovieNight", "nospoilers"], ["the ending", "that actor", "row five", "the projector"],
             ["surprises", "sleeps through", "ruins", "saves"], ["the film", "everybody", "the second act"],
             0.7, 0.15, 2.5, 0.3),
    "dogs": (["dogsofthetown", "goodboy"], ["Bruno", "the pug from no. 12", "a very wet dog", "the puppy"],
             ["finds", "fetches", "ignores", "shakes off"], ["a whole branch", "the postman", "half the lake"],
             0.35, 0.25, 1.2, 0.5),
    "lights": (["aurora", "sky"], ["the sky", "everything north", "the horizon", "my camera"],
               ["turns", "glows", "sees", "cannot hold"], ["green", "what I cannot", "still, look up"],
               0.87, 0.05, 10.0, 0.02),
}
ODD = ["#", "## what?", "a #lone tag, then # nothing", "tags touch: #one#two", "C# is not a tag, #c_sharp is",
       "#" + "long" * 30 + " is longer than any tag may be", "", "#über #naïve #日本", "mail me #100%",
       "“quoted” #quotes, \\ and \ttab"]


def weight(subject, at):
    moment, width, height, murmur = subject[4:]
    return murmur + height * math.exp(-((at - moment) / width) ** 2)


def spell(tag, chance):
    return chance.choice([tag, tag, tag.lower(), tag.upper() if chance.random() < 0.2 else tag])


def sentence(subject, chance):
    tags, who, does, what = subject[:4]
    words = [chance.choice(who), chance.choice(does), chance.choice(what)]
    count = chance.choices([0, 1, 2, 3], [25, 45, 22, 8])[0]
    for tag in chance.sample(tags, min(count, len(tags))):
        words.insert(chance.choice([1, len(words), len(words)]), "#" + spell(tag, chance))
    text = " ".join(words) + chance.choice(["", "", ".", "!", " …"])
    return text[0].upper() + text[1:] if chance.random() < 0.6 else text


def make(seed, count, seconds):
    chance = random.Random(seed)
    people = [f"{name}{number}" for number in range(1, 40)
              for name in ("ana", "ben", "chloe", "dai", "eva", "femi", "goran", "hana")]
    shares = [1 / (rank + 3) for rank in range(len(people))]
    at = 0.0
    for _ in range(count):
        at += chance.expovariate(count / seconds)
        part = min(at / seconds, 1.0)
        names = list(SUBJECTS)
        subject = SUBJECTS[chance.choices(names, [weight(SUBJECTS[name], part) for name in names])[0]]
        text = chance.choice(ODD) if chance.random() < 0.01 else sentence(subject, chance)
        late_s = chance.random() if chance.random() < 0.05 else 0.0
        yield {"key": chance.choices(people, shares)[0], "value": text,
               "timestamp": START_MS + max(0, round((at - late_s) * 1000))}


def main():
    parser = argparse.ArgumentParser(description="Invent posts, as JSON lines.")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--posts", type=int, default=4000)
    parser.add_argument("--seconds", type=int, default=300, help="of event time")
    words = parser.parse_args()
    for post in make(words.seed, words.posts, words.seconds):
        sys.stdout.write(json.dumps(post, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
