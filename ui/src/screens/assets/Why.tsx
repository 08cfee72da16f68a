/** Why an asset is as it is: its reasons followed to the first cause, and what its automation says. */
import { TextInput } from "@mantine/core";
import { type Schema, useGet } from "@/api/client";
import { useChosen } from "@/frame/address";
import { Panel, Section } from "@/parts/Page";
import { Glyph, State } from "@/parts/State";
import { Loaded } from "@/parts/Waiting";
import { When } from "@/parts/When";
import type { Definition } from "./Asset";
import css from "./Asset.module.css";
import { LIVE } from "./live";
import { Tree } from "./Tree";

type Condition = { text: string; holds: boolean; children: Condition[] };

export function WhyTab({ asset }: { asset: Definition }) {
  const [chosen, choose] = useChosen();
  const partition = chosen.partition ?? "";
  const query = { path: { asset: asset.name }, query: { partition } };
  const tree = useGet("/api/v1/assets/{asset}/staleness", query, { live: LIVE });
  const why = useGet("/api/v1/assets/{asset}/why", query, { live: LIVE });
  return (
    <div className={css.cards}>
      <Section
        title="Staleness"
        aside={
          asset.partitions !== null && (
            <TextInput
              key={partition}
              size="xs"
              aria-label="Partition"
              placeholder="a partition, then enter"
              defaultValue={partition}
              onKeyDown={(event) =>
                event.key === "Enter" && choose({ partition: event.currentTarget.value.trim() })
              }
            />
          )
        }
      >
        <Loaded query={tree} rows={5}>
          {(found) => (
            <Panel>
              <div className={css.bar}>
                <State state={found.code} />
                <span className="dim">
                  {found.text}
                  {found.at && (
                    <>
                      , made <When at={found.at} />
                    </>
                  )}
                </span>
              </div>
              <Tree nodes={found.children} />
              {found.more > 0 && <p className="dim">and {found.more.toLocaleString("en")} more</p>}
            </Panel>
          )}
        </Loaded>
      </Section>
      <Section title="Automation">
        <Loaded query={why} rows={5}>
          {(found) => <Automation found={found} asset={asset} />}
        </Loaded>
      </Section>
    </div>
  );
}

function Automation({ found, asset }: { found: Schema<"AssetWhy">; asset: Definition }) {
  const tree = found.automation as unknown as Condition | null;
  if (!found.engine) return <p className="dim">No scheduler is there to ask; it may be starting again.</p>;
  return (
    <Panel>
      {found.problem && <p>{`Its last run could not be made: ${found.problem}`}</p>}
      {tree ? (
        <Conditions of={[tree]} />
      ) : (
        <p className="dim">
          {asset.external
            ? "Another tool makes it."
            : "It has no condition: it is made by runs that somebody or a schedule asks for. With automation=pt.auto.on_upstream() it makes itself when what it reads is new."}
        </p>
      )}
    </Panel>
  );
}

function Conditions({ of }: { of: Condition[] }) {
  return (
    <ul className={css.tree}>
      {of.map((one, at) => (
        <li key={at}>
          <div className={css.branch}>
            <Glyph state={one.holds ? "passed" : "waiting"} size={13} />
            <span className={one.holds ? undefined : "dim"}>{one.text}</span>
            <span className="visually-hidden">{one.holds ? "holds" : "does not hold"}</span>
          </div>
          {one.children.length > 0 && <Conditions of={one.children} />}
        </li>
      ))}
    </ul>
  );
}
