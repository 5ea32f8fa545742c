import { Type } from 'typebox'
import { ruleLimits } from './limits.ts'
import { ruleOps } from './rule.ts'

const scalar = Type.Union([
  Type.String({ minLength: 1, maxLength: ruleLimits.pattern_length_max }),
  Type.Number(),
  Type.Boolean(),
])

const several = Type.Array(Type.Ref('Rule'), { minItems: 1, maxItems: ruleLimits.conditions_max })

/** The JSON form of a rule, for an API: its shape. What fits which field says validateRule. */
export const ruleSchema = Type.Cyclic(
  {
    Rule: Type.Union([
      Type.Object({ all: several }, { additionalProperties: false }),
      Type.Object({ any: several }, { additionalProperties: false }),
      Type.Object({ not: Type.Ref('Rule') }, { additionalProperties: false }),
      Type.Object(
        {
          field: Type.String({ description: 'A field of docs/rules.md' }),
          op: Type.Union(ruleOps.map((op) => Type.Literal(op))),
          value: Type.Union([
            scalar,
            Type.Array(Type.Union([scalar, Type.Null()]), { minItems: 1, maxItems: ruleLimits.values_max }),
          ]),
        },
        { additionalProperties: false },
      ),
    ]),
  },
  'Rule',
)
