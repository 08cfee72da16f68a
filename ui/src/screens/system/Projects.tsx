/** The projects that are served: the version at work, what does not load, and all versions there were. */
import { Button } from "@mantine/core";
import { useState } from "react";
import { type Schema, useGet, usePages, useSend } from "@/api/client";
import { useMay } from "@/api/session";
import { href } from "@/frame/address";
import { Command, Key } from "@/parts/Command";
import { bytes } from "@/parts/Metadata";
import { Fact, Panel, Section } from "@/parts/Page";
import { State } from "@/parts/State";
import { type Column, Table } from "@/parts/Table";
import { To } from "@/parts/To";
import { took } from "@/parts/time";
import { Empty, Loaded, Trouble } from "@/parts/Waiting";
import { When } from "@/parts/When";
import css from "./System.module.css";

type Project = Schema<"Project">;
type Version = Schema<"Version">;
type Served = Schema<"ServedVersion">;

export default function Projects() {
  const projects = useGet("/api/v1/projects", {}, { live: ["project_", "version_"] });
  const system = useGet(
    "/api/v1/system",
    {},
    { every: 5_000, live: ["project_", "version_", "deployment_"] },
  );
  return (
    <Loaded query={projects}>
      {(found) =>
        found.items.length === 0 ? (
          <Empty title="No project is served" code={"partita init shop\npartita up shop"}>
            A project is a folder with a pipelines.py.
          </Empty>
        ) : (
          found.items.map((project) => (
            <OneProject
              key={project.project}
              of={project}
              served={system.data?.projects.find((one) => one.project === project.project)}
            />
          ))
        )
      }
    </Loaded>
  );
}

function OneProject({ of, served }: { of: Project; served: Served | undefined }) {
  const may = useMay("author", of.namespace);
  const reload = useSend("post", "/api/v1/projects/{project}/reload");
  const [open, setOpen] = useState(false);
  return (
    <Section
      title={of.project}
      aside={
        <>
          <Button onClick={() => setOpen(!open)} aria-expanded={open}>
            Versions
          </Button>
          <Button
            onClick={() => reload.mutate({ path: { project: of.project } })}
            loading={reload.isPending}
            disabled={!may}
            title={may ? undefined : "This needs the permission `author`"}
          >
            Load again
          </Button>
        </>
      }
    >
      <div className={css.facts}>
        <State
          state={!of.active ? "gone" : of.error || of.problems.length > 0 ? "failing" : "on"}
          more={of.error || of.problems.length > 0 ? "the last good version stays at work" : ""}
        />
        <Fact name="version">
          <Key>{of.code}</Key>
        </Fact>
        <Fact name="namespace">{of.namespace}</Fact>
        <Fact name="loaded">
          <When at={of.loaded_at} /> in {took(of.took_s)}
        </Fact>
        {served && (
          <Fact name="from">
            {served.deployment === null
              ? "its folder"
              : `deployment ${served.deployment} by ${served.deployed_by}`}
          </Fact>
        )}
        {served?.again_at && (
          <Fact name="tried again">
            <When at={served.again_at} /> <span className="dim">({served.fruitless} times in vain)</span>
          </Fact>
        )}
      </div>
      {served?.rollback && <Command line={served.rollback} />}
      {reload.data && <p role="status">{reload.data.lines.join(" ")}</p>}
      {reload.error && <Trouble error={reload.error} />}
      {of.error && (
        <Panel tone="failed">
          <pre className={css.trace}>{of.error}</pre>
        </Panel>
      )}
      {of.problems.map((problem) => (
        <Panel key={`${problem.file}:${problem.line}:${problem.message}`} tone="failed">
          <div className={css.problem}>
            <strong>{problem.message}</strong>
            {problem.file && <code>{`${problem.file}${problem.line ? `:${problem.line}` : ""}`}</code>}
            {problem.hint && <span className="dim">{problem.hint}</span>}
            {problem.traceback && <pre className={css.trace}>{problem.traceback}</pre>}
          </div>
        </Panel>
      ))}
      {open && <Versions project={of} />}
    </Section>
  );
}

function Versions({ project }: { project: Project }) {
  const versions = usePages(
    "/api/v1/projects/{project}/versions",
    { path: { project: project.project }, query: { limit: 50 } },
    { live: ["version_", "project_"] },
  );
  const columns: Column<Version>[] = [
    {
      id: "code",
      head: "Version",
      cell: (row) => <Key>{row.code}</Key>,
      value: (row) => row.code,
      width: "240px",
    },
    { id: "at", head: "Since", cell: (row) => <When at={row.at} />, value: (row) => row.at, width: "120px" },
    {
      id: "size",
      head: "Size",
      right: true,
      cell: (row) => bytes(row.size),
      value: (row) => row.size,
      width: "100px",
    },
    {
      id: "now",
      head: "",
      cell: (row) =>
        row.code === project.code ? (
          <State state="on" />
        ) : (
          <To to={href(["runs"], { project: project.project })}>runs</To>
        ),
    },
  ];
  return (
    <Loaded query={{ ...versions, data: versions.data && versions.items }}>
      {(items) => (
        <Table
          name={`versions of ${project.project}`}
          columns={columns}
          rows={items}
          rowKey={(row) => row.code}
          more={versions.more}
          hasMore={versions.hasMore}
          noKeys
        />
      )}
    </Loaded>
  );
}
