/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Sensor() {
  return <Page title="Sensor">{null}</Page>;
}
