import type { GrantScope } from "../contract.ts";
import { Visible } from "./text.tsx";

/** Which calls an approval for the session covers. */
export function Covered({ scope }: { scope: GrantScope }) {
  switch (scope.kind) {
    case "tool":
      return <>Every call of this tool</>;
    case "exact":
      return <>Calls with exactly these arguments</>;
    case "command":
      return (
        <>
          Simple commands that begin with{" "}
          <code>
            <Visible text={scope.prefix} />
          </code>
        </>
      );
    case "path":
      return (
        <>
          Paths in{" "}
          <code>
            <Visible text={scope.within} />
          </code>
          , whatever the other arguments are
        </>
      );
    default:
      return <>{JSON.stringify(scope)}</>;
  }
}
