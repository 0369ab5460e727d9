import type { CodegenConfig } from "@graphql-codegen/cli";
import { buildASTSchema, isInterfaceType, isObjectType, Kind, TypeInfo, visit, visitWithTypeInfo } from "graphql";
import type { DocumentNode, SelectionSetNode } from "graphql";

const schema = process.env.COHORT_SCHEMA ?? "../../graph/schema.graphql";
const queries = "../../gateway/static/queries";

/** Asks for `id` wherever a type has one, so that a normalised cache keeps each object once, whoever asked for it. */
function withIds(document: DocumentNode, schema: DocumentNode): DocumentNode {
  const info = new TypeInfo(buildASTSchema(schema));
  const id = { kind: Kind.FIELD, name: { kind: Kind.NAME, value: "id" } } as const;
  return visit(
    document,
    visitWithTypeInfo(info, {
      SelectionSet(node): SelectionSetNode | undefined {
        const type = info.getParentType();
        const has = (isObjectType(type) || isInterfaceType(type)) && "id" in type.getFields();
        const asked = node.selections.some((one) => one.kind === Kind.FIELD && one.name.value === "id" && !one.alias);
        return has && !asked ? { ...node, selections: [id, ...node.selections] } : undefined;
      },
    }),
  );
}

const config: CodegenConfig = {
  schema,
  documents: [
    ...["my_courses", "course_page", "group_page"].map((page) => `${queries}/${page}.graphql`),
    "src/*.graphql",
  ],
  generates: {
    "src/generated/": {
      preset: "client",
      // persisted-documents.json is the manifest that `cohort documents load` takes.
      presetConfig: { fragmentMasking: false, persistedDocuments: { hashAlgorithm: "sha256" } },
      config: {
        strictScalars: true,
        scalars: { Date: "string", DateTime: "string", JSON: "unknown" },
        enumsAsTypes: true,
        useTypeImports: true,
        emitLegacyCommonJSImports: false,
      },
      documentTransforms: [
        {
          transform: ({ documents, schema: types }) =>
            documents.map((file) => (file.document ? { ...file, document: withIds(file.document, types) } : file)),
        },
      ],
    },
    "src/generated/introspection.json": {
      plugins: ["introspection"],
      config: { minify: true, descriptions: false },
    },
  },
};

export default config;
