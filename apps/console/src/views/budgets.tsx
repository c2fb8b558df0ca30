// What the session, and all of its owner's today, have spent of what they may.

import type { AppState, Controller } from "../app/controller.ts";
import type { Account, Ceiling, Spend } from "../contract.ts";
import { useAsked } from "./asked.ts";
import { duration } from "./duration.ts";
import { Unanswered } from "./unanswered.tsx";

const NUMBER = new Intl.NumberFormat("en");
const count = (value: number): string => NUMBER.format(value);
const ROWS: readonly { name: string; of: keyof Spend; write(value: number): string }[] = [
  { name: "Tokens", of: "tokens", write: count },
  { name: "Tool calls", of: "toolCalls", write: count },
  { name: "Time at work", of: "wallMs", write: duration },
];

export function Budgets({ state, controller }: { state: AppState; controller: Controller }) {
  const { sessionId, session, link } = state;
  // What a turn cost is counted when it ends.
  const asked = useAsked(link.kind === "ready", () => controller.ask("usage:get"), [sessionId, session.turns]);
  return (
    <section aria-label="Budgets">
      <h3>Budgets</h3>
      <Unanswered asked={asked} />
      {asked.kind === "there" && (
        <table>
          <thead>
            <tr>
              <th scope="col">Spent</th>
              <th scope="col">This session</th>
              <th scope="col">You, today</th>
            </tr>
          </thead>
          <tbody>
            {ROWS.map((row) => (
              <tr key={row.of}>
                <th scope="row">{row.name}</th>
                <td>{spent(row, asked.value.session, asked.value.limits.session)}</td>
                <td>{spent(row, asked.value.day, asked.value.limits.day)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** How much, and of how much where that is limited. */
function spent({ of, write }: (typeof ROWS)[number], account: Account, most: Ceiling): string {
  const limit = most[of];
  return limit === undefined ? write(account[of]) : `${write(account[of])} of ${write(limit)}`;
}
