/** Who uses an asset, and what it uses: assets, pipelines, tests, sensors. */
import type { ReactNode } from "react";
import { useGet } from "@/api/client";
import { href } from "@/frame/address";
import { Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { To } from "@/parts/To";
import { Loaded } from "@/parts/Waiting";
import css from "./Asset.module.css";
import { LIVE } from "./live";
import { assetAt } from "./paths";

export function UsesTab({ asset }: { asset: string }) {
  const uses = useGet("/api/v1/assets/{asset}/uses", { path: { asset } }, { live: LIVE });
  return (
    <Loaded query={uses} rows={6}>
      {(found) => (
        <div className={css.cards}>
          <Some title="Read by" none="No asset is made from it.">
            {found.readers.map((node) => (
              <li key={node.name}>
                <To to={assetAt(node.name)}>{node.name}</To>
                <State state={node.health} />
              </li>
            ))}
          </Some>
          <Some title="Made from" none="It reads no asset.">
            {found.reads.map((node) => (
              <li key={node.name}>
                <To to={assetAt(node.name)}>{node.name}</To>
                <State state={node.health} />
              </li>
            ))}
          </Some>
          <Some title="Pipelines" none="No pipeline makes or reads it; runs of it are asked for by name.">
            {found.pipelines.map((use) => (
              <li key={`${use.project}/${use.name}`}>
                <To to={href(["pipelines", use.name])}>{use.name}</To>
                <span className="dim">
                  {use.how === "makes" ? "makes it" : "reads it"}
                  {use.schedules.length > 0 && `, by schedule ${use.schedules.join(", ")}`}
                </span>
              </li>
            ))}
          </Some>
          <Some title="Checks" none="No check looks at it.">
            {found.checks.map((check) => (
              <li key={check.name}>
                <To to={assetAt(asset, "checks")}>{check.name}</To>
                <span className="dim">
                  {check.blocking ? "blocks what reads it" : "only tells"}
                  {check.failed > 0 && `, failed on ${check.failed}`}
                </span>
              </li>
            ))}
          </Some>
          <Some title="Sensors" none="No sensor hears of it.">
            {found.sensors.map((sensor) => (
              <li key={`${sensor.namespace}/${sensor.name}`}>
                <To to={href(["sensors", sensor.namespace, sensor.name])}>{sensor.name}</To>
                <span className="dim">
                  {sensor.targets.length > 0 && `starts ${sensor.targets.join(", ")}`}
                </span>
              </li>
            ))}
          </Some>
        </div>
      )}
    </Loaded>
  );
}

function Some({ title, none, children }: { title: string; none: string; children: ReactNode[] }) {
  return (
    <Section title={`${title}${children.length > 0 ? ` (${children.length})` : ""}`}>
      {children.length === 0 ? <p className="dim">{none}</p> : <ul className={css.list}>{children}</ul>}
    </Section>
  );
}
