import { h, type ComponentChildren, type ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

/** A view whose code comes when it is first wanted; `waiting` stands in for it until then, and where it does not come. */
export function lazy<Props extends object>(
  load: () => Promise<ComponentType<Props>>,
  waiting: (props: Props) => ComponentChildren,
): ComponentType<Props> {
  let loaded: ComponentType<Props> | undefined;
  let loading: Promise<void> | undefined;
  return function Lazy(props: Props) {
    const [View, setView] = useState(() => loaded);
    useEffect(() => {
      if (View !== undefined) return;
      let wanted = true;
      // One that failed is tried again by whoever wants it next.
      loading ??= load().then(
        (view) => void (loaded = view),
        () => void (loading = undefined),
      );
      void loading.then(() => wanted && setView(() => loaded));
      return () => void (wanted = false);
    }, [View]);
    return View === undefined ? waiting(props) : h(View, props);
  };
}
