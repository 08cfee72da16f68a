/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Today() {
  return <Page title="Today">{null}</Page>;
}
