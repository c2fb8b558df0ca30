import { h, type ComponentChild, type ComponentType } from "preact";
import { useRef } from "preact/hooks";

/** A view that is drawn again only when one of its props is another. */
export function memo<Props extends object>(View: ComponentType<Props>): (props: Props) => ComponentChild {
  return function Memo(props: Props) {
    const last = useRef<{ props: Props; node: ComponentChild } | null>(null);
    // The same virtual node again tells Preact that there is nothing to do.
    if (last.current !== null && isSame(last.current.props, props)) return last.current.node;
    const node = h(View, props) as ComponentChild;
    last.current = { props, node };
    return node;
  };
}

function isSame<Props extends object>(a: Props, b: Props): boolean {
  const keys = Object.keys(a) as (keyof Props)[];
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
