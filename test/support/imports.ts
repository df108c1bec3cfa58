import { dirname, join, normalize } from 'node:path'
import ts from 'typescript'

export interface Import {
  from: string
  /** A path from the project's folder, or a package. */
  to: string
  isOurs: boolean
  /** Of types alone, so that it is gone once the file is built. */
  isTypeOnly: boolean
}

/** All that a file imports, what it re-exports and what it imports when it is needed among them. */
export function importsOf(from: string, source: ts.SourceFile): Import[] {
  const found: Import[] = []
  visit(source, (node) => {
    const specifier =
      ts.isImportDeclaration(node) || ts.isExportDeclaration(node)
        ? node.moduleSpecifier
        : dynamicImport(node)
    if (!specifier || !ts.isStringLiteral(specifier)) return
    const isOurs = specifier.text.startsWith('.')
    const to = isOurs ? normalize(join(dirname(from), specifier.text)) : specifier.text
    const isTypeOnly = ts.isImportDeclaration(node) && node.importClause?.isTypeOnly === true
    found.push({ from, to, isOurs, isTypeOnly })
  })
  return found
}

export function parsed(file: string, text: string): ts.SourceFile {
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
}

export function visit(node: ts.Node, look: (node: ts.Node) => void): void {
  look(node)
  ts.forEachChild(node, (child) => visit(child, look))
}

function dynamicImport(node: ts.Node): ts.Node | undefined {
  const isImport = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword
  return isImport ? node.arguments[0] : undefined
}
