/** The catalog: every asset with its health and the reason, searched and filtered; what is unwell is found first. */
import { Button } from "@mantine/core";
import { IconSitemap } from "@tabler/icons-react";
import { useMemo } from "react";
import { type Schema, usePages } from "@/api/client";
import { href, useChosen, useGo } from "@/frame/address";
import { Meter } from "@/parts/Bars";
import { Choice, Filters, Search } from "@/parts/Filters";
import { Page } from "@/parts/Page";
import { Glyph, State } from "@/parts/State";
import { quoted } from "@/parts/shell";
import { lookOf } from "@/parts/states";
import { type Column, Export, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { Empty, Skeleton, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./Assets.module.css";
import { isLate, madeOf, rankOf, reasonOf } from "./health";
import { LIVE } from "./live";
import { assetAt, runAt } from "./paths";

type Entry = Schema<"CatalogEntry">;
type Facets = Schema<"Facets">;

const CODE = `@pt.asset(partitions=pt.daily(start="2026-01-01"), group="raw", owner="ann")
def flights(ctx: pt.Context) -> list[dict]:
    """All flights of a day."""`;

const STATES = ["failing", "late", "stale", "missing", "partial", "running", "current", "external"] as const;

export default function Assets() {
  const [chosen, choose] = useChosen();
  const go = useGo();
  const query = {
    q: chosen.q ?? "",
    state: chosen.state as Entry["state"] & (typeof STATES)[number],
    group: chosen.group,
    owner: chosen.owner,
    tag: chosen.tag,
    kind: chosen.kind,
    project: chosen.project,
    limit: 500,
  };
  const found = usePages("/api/v1/catalog", { query }, { live: LIVE, keep: true, every: 30_000 });
  const first = found.data?.pages[0] as Schema<"Catalog"> | undefined;
  const sort = chosen.sort === "health";
  const rows = useMemo(() => {
    const items = found.data?.pages.flatMap((page) => page.items as Entry[]) ?? [];
    return sort ? items.toSorted((a, b) => rankOf(a.health) - rankOf(b.health)) : items;
  }, [found.data, sort]);
  const columns = useMemo(() => columnsOf((group) => choose({ group })), [choose]);
  const isFiltered = Object.entries(query).some(([name, value]) => name !== "limit" && value);
  const command =
    chosen.state && !["late", "partial", "running"].includes(chosen.state)
      ? `partita assets --state ${chosen.state}`
      : "partita assets";
  return (
    <Page
      title="Assets"
      wide
      command={query.q ? `partita assets search ${quoted(query.q)}` : command}
      facts={first && <Told facets={first.facets} all={first.all} state={chosen.state} choose={choose} />}
      actions={
        <Button leftSection={<IconSitemap size={15} />} onClick={() => go(href(["lineage"]))}>
          Lineage
        </Button>
      }
    >
      <Filters
        aside={
          first && (
            <>
              {first.total === first.all
                ? `${first.all.toLocaleString("en")} assets`
                : `${first.total.toLocaleString("en")} of ${first.all.toLocaleString("en")}`}
              <Export columns={columns} rows={rows} name="assets" />
            </>
          )
        }
      >
        <Search
          value={query.q}
          onChange={(q) => choose({ q })}
          placeholder="Name, column, tag, owner, words"
          label="Search assets"
        />
        {first && <Choices facets={first.facets} chosen={chosen} choose={choose} />}
        <Choice
          label="Order"
          value={chosen.sort}
          options={[{ value: "health", label: "unwell first" }]}
          onChange={(sort) => choose({ sort })}
          width={130}
        />
      </Filters>
      {found.error && <Trouble error={found.error} again={() => void found.refetch()} />}
      {found.isPending ? (
        <Skeleton rows={12} />
      ) : first?.all === 0 ? (
        <Empty title="No assets yet" code={CODE}>
          An asset is a named piece of data and the function that makes it. What it depends on are its
          parameters. Assets stand here with their health, partitions and checks.
        </Empty>
      ) : (
        <div className={css.board}>
          {first && !chosen.group && first.facets.groups.length > 1 && !isFiltered && (
            <Groups facets={first.facets} choose={(group) => choose({ group }, { push: true })} />
          )}
          <Table
            name="assets"
            columns={columns}
            rows={rows}
            rowKey={(row) => row.name}
            onOpen={(row) => go(assetAt(row.name))}
            more={found.more}
            hasMore={found.hasMore}
            empty={<p className="dim">Nothing here is like that.</p>}
          />
        </div>
      )}
    </Page>
  );
}

/** How many are how; a click shows those. */
function Told({
  facets,
  all,
  state,
  choose,
}: {
  facets: Facets;
  all: number;
  state: string | undefined;
  choose: (change: { state: string | undefined }) => void;
}) {
  const counts = Object.fromEntries(facets.states.map((facet) => [facet.value, facet.count]));
  if (all === 0) return null;
  const shown = STATES.filter((one) => counts[one]);
  return (
    <div className={css.told} role="group" aria-label="By health">
      {shown.map((one) => (
        <button
          key={one}
          type="button"
          className={css.chip}
          aria-pressed={state === one}
          onClick={() => choose({ state: state === one ? undefined : one })}
        >
          <Glyph state={one} size={13} />
          <strong>{counts[one]?.toLocaleString("en")}</strong> {lookOf(one).word}
        </button>
      ))}
    </div>
  );
}

const FIELDS = [
  ["group", "groups", "Group"],
  ["owner", "owners", "Owner"],
  ["tag", "tags", "Tag"],
  ["kind", "kinds", "Kind"],
  ["project", "projects", "Project"],
] as const;

function Choices({
  facets,
  chosen,
  choose,
}: {
  facets: Facets;
  chosen: Record<string, string | undefined>;
  choose: (change: Record<string, string | undefined>) => void;
}) {
  return FIELDS.filter(([name, of]) => facets[of].length > (name === "project" ? 1 : 0)).map(
    ([name, of, label]) => (
      <Choice
        key={name}
        label={label}
        value={chosen[name]}
        options={facets[of].map((facet) => ({
          value: facet.value,
          label: `${facet.value} (${facet.count})`,
        }))}
        onChange={(value) => choose({ [name]: value })}
      />
    ),
  );
}

/** Groups with their health, to begin from. */
function Groups({ facets, choose }: { facets: Facets; choose: (group: string) => void }) {
  return (
    <nav className={css.groups} aria-label="Groups">
      {facets.groups.map((group) => {
        const parts = group.healths
          .map(({ value, count }) => ({ state: value, count }))
          .sort((a, b) => rankOf(a.state) - rankOf(b.state));
        const label = parts.map((part) => `${part.count} ${lookOf(part.state).word}`).join(", ");
        return (
          <button
            key={group.value}
            type="button"
            className={css.group}
            onClick={() => choose(group.value)}
            title={label}
          >
            <span className={css.groupName}>{group.value}</span>
            <span className={css.groupCount}>{group.count}</span>
            <Meter parts={parts} total={group.count} label={label} height={5} />
          </button>
        );
      })}
    </nav>
  );
}

function columnsOf(chooseGroup: (group: string) => void): Column<Entry>[] {
  return [
    {
      id: "name",
      head: "Asset",
      value: (row) => row.name,
      width: "26%",
      cell: (row) => (
        <span className={css.name} title={row.description || row.name}>
          {row.running && <Glyph state="running" size={13} label />}
          <To to={assetAt(row.name)}>{row.name}</To>
          <span className="dim clip">{row.description}</span>
        </span>
      ),
    },
    {
      id: "group",
      head: "Group",
      value: (row) => row.group,
      width: "110px",
      wide: true,
      cell: (row) =>
        row.group && (
          <button type="button" className={css.link} onClick={() => chooseGroup(row.group)}>
            {row.group}
          </button>
        ),
    },
    {
      id: "state",
      head: "Health",
      value: (row) => row.health,
      cell: (row) => (
        <span className={css.health} title={reasonOf(row)}>
          <State state={row.health} />
          <span className="dim clip">
            {row.partitioned && row.state === "missing" ? "" : reasonOf(row)}
            {row.state === "stale" && row.reason_at && (
              <>
                {" "}
                <When at={row.reason_at} />
              </>
            )}
          </span>
        </span>
      ),
    },
    {
      id: "partitions",
      head: "Partitions",
      value: (row) => (row.partitioned ? row.made : null),
      width: "160px",
      wide: true,
      cell: (row) =>
        row.partitioned ? (
          <span className={css.parts}>
            <Meter
              height={6}
              total={row.partitions}
              label={`${madeOf(row.made, row.partitions)} made, ${row.stale} stale, ${row.failing} failing`}
              parts={[
                { state: "failed", count: row.failing },
                { state: "stale", count: row.stale },
                { state: "made", count: Math.max(0, row.made - row.stale - row.failing) },
              ]}
            />
            <span className="dim num">{madeOf(row.made, row.partitions)}</span>
          </span>
        ) : (
          <span className="dim">–</span>
        ),
    },
    {
      id: "last",
      head: "Last made",
      value: (row) => row.last_at,
      width: "185px",
      wide: true,
      cell: (row) => (
        <span className={css.last}>
          {row.last_run ? (
            <To to={runAt(row.last_run)}>
              <When at={row.last_at} />
            </To>
          ) : (
            <When at={row.last_at} />
          )}
          <span className="dim mono clip">{row.last_partition}</span>
        </span>
      ),
    },
    {
      id: "fresh",
      head: "Fresh",
      value: (row) => row.freshness,
      width: "84px",
      wide: true,
      cell: (row) =>
        row.freshness ? (
          <span title={row.freshness_reason}>
            {isLate(row.freshness) ? (
              <State state={row.freshness} />
            ) : (
              <span className="dim">{lookOf(row.freshness).word}</span>
            )}
          </span>
        ) : (
          <span className="dim">–</span>
        ),
    },
    {
      id: "checks",
      head: "Checks",
      value: (row) => row.checks_failed.length || row.checks_warned.length / 1e6,
      width: "90px",
      wide: true,
      cell: (row) =>
        row.checks_failed.length > 0 ? (
          <span className={css.failed} title={row.checks_failed.join(", ")}>
            <Glyph state="failed" size={12} label /> {row.checks_failed.length} of{" "}
            {Math.max(row.checks, row.checks_failed.length)}
          </span>
        ) : row.checks_warned.length > 0 ? (
          <span className="dim num" title={`${row.checks_warned.join(", ")} failed, only warns`}>
            <Glyph state="warned" size={12} label /> {row.checks_warned.length} of{" "}
            {Math.max(row.checks, row.checks_warned.length)}
          </span>
        ) : (
          <span className="dim num">{row.checks || "–"}</span>
        ),
    },
    {
      id: "owner",
      head: "Owner",
      value: (row) => row.owner,
      width: "100px",
      wide: true,
      cell: (row) => row.owner,
    },
  ];
}
