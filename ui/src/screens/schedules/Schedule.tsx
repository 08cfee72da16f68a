/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Schedule() {
  return <Page title="Schedule">{null}</Page>;
}
