import type { AppState, Controller } from "../app/controller.ts";
import { Budgets } from "./budgets.tsx";
import { duration } from "./duration.ts";

const NUMBER = new Intl.NumberFormat("en");

export function UsagePanel({ state, controller }: { state: AppState; controller: Controller }) {
  const { session } = state;
  const { usage } = session;
  const turns = session.items.filter((item) => item.kind === "end");
  return (
    <>
      <h2>Usage</h2>
      <p class="quiet">
        In tokens, as the provider counted{session.fromSnapshot ? ", for the turns that are still kept" : ""}.
      </p>
      <dl class="facts">
        <dt>Read</dt>
        <dd>
          {NUMBER.format(usage.inputTokens)} ({NUMBER.format(usage.cachedInputTokens)} cached)
        </dd>
        <dt>Written</dt>
        <dd>
          {NUMBER.format(usage.outputTokens)} ({NUMBER.format(usage.reasoningTokens)} reasoning)
        </dd>
        <dt>Turns</dt>
        <dd>{NUMBER.format(session.turns)}</dd>
        <dt>Tool calls</dt>
        <dd>{NUMBER.format(session.toolCalls)}</dd>
        <dt>Time</dt>
        <dd>{duration(turns.reduce((sum, { completed }) => sum + completed.durationMs, 0))}</dd>
      </dl>
      <Budgets state={state} controller={controller} />
      {turns.length > 0 && (
        <div class="scroll" tabIndex={0} role="group" aria-label="Usage by turn">
          <table>
            <thead>
              <tr>
                <th scope="col">Turn</th>
                <th scope="col">Read</th>
                <th scope="col">Written</th>
                <th scope="col">Calls</th>
                <th scope="col">Seconds</th>
              </tr>
            </thead>
            <tbody>
              {turns.map(({ key, turn, completed }) => (
                <tr key={key}>
                  <td>{turn}</td>
                  <td>{NUMBER.format(completed.usage.inputTokens)}</td>
                  <td>{NUMBER.format(completed.usage.outputTokens)}</td>
                  <td>{completed.toolCalls}</td>
                  <td>{(completed.durationMs / 1_000).toFixed(1)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}
