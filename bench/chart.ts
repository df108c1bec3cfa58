import { BarChart, LineChart } from 'echarts/charts'
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components'
import { type EChartsCoreOption, init, use } from 'echarts/core'
import { SVGRenderer } from 'echarts/renderers'

/** Pictures for the documents, from plain data. The same data gives the same bytes. */
use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])

export interface BarData {
  title: string
  subtitle: string
  x: { name: string; labels: string[] }
  y: { name: string }
  /** One value for each label; `null` where nothing was measured. */
  series: { name: string; values: (number | null)[] }[]
  /** On top of each other instead of side by side: parts of a whole. */
  stacked?: boolean
}

export interface TimeSeriesData {
  title: string
  subtitle: string
  /** One above the other, with one axis of time. A panel has one unit. */
  panels: { name: string; lines: { name: string; points: [seconds: number, value: number][] }[] }[]
}

const width = 800
const [textColour, paleColour, gridColour, background] = ['#1f2937', '#4b5563', '#e5e7eb', '#ffffff']
// Told apart by lightness, too, and by people who do not see red and green alike.
const colours = ['#3b82f6', '#d97706', '#64748b', '#0f766e', '#be185d', '#7c3aed']
const fontFamily = 'system-ui, sans-serif'

export function drawBars({ title, subtitle, x, y, series, stacked = false }: BarData): string {
  const height = 440
  const label = { show: true, fontSize: 11, color: textColour, formatter: thousands }
  return render(height, title, {
    ...frame(title, subtitle),
    legend: legendOf(series),
    grid: { left: 64, right: 16, top: 84, bottom: 88 },
    xAxis: { type: 'category', data: x.labels, ...axis(x.name, 32), splitLine: { show: false } },
    yAxis: { type: 'value', ...axis(y.name, 48), axisLine: { show: false } },
    series: series.map(({ name, values }) => ({
      ...plain(name),
      type: 'bar',
      ...(stacked ? { stack: 'all', barMaxWidth: 90 } : { barGap: '8%', barMaxWidth: 60 }),
      label: stacked ? { ...label, position: 'inside' } : { ...label, position: 'top' },
      // An absent value is `-` to the library.
      data: values.map((value) => value ?? '-'),
    })),
  })
}

export function drawTimeSeries({ title, subtitle, panels }: TimeSeriesData): string {
  const [top, panelHeight, gap, bottom] = [84, 150, 30, 84]
  const height = top + panels.length * (panelHeight + gap) - gap + bottom
  const lines = panels.flatMap((panel, index) => panel.lines.map((line) => ({ ...line, index })))
  const endSeconds = Math.max(...lines.flatMap(({ points }) => points.map(([seconds]) => seconds)))
  const unit = endSeconds > 180 ? { name: 'minutes', seconds: 60 } : { name: 'seconds', seconds: 1 }
  const isLast = (index: number): boolean => index === panels.length - 1
  return render(height, title, {
    ...frame(title, subtitle),
    legend: legendOf(lines),
    grid: panels.map((_, index) => ({
      ...{ left: 64, right: 24, top: top + index * (panelHeight + gap), height: panelHeight },
    })),
    xAxis: panels.map((_, gridIndex) => ({
      ...{ type: 'value', gridIndex, min: 0, max: endSeconds / unit.seconds },
      ...axis(isLast(gridIndex) ? unit.name : '', 30),
      axisLabel: { show: isLast(gridIndex), color: paleColour, showMaxLabel: false },
      splitLine: { show: false },
    })),
    yAxis: panels.map(({ name }, gridIndex) => ({
      ...{ type: 'value', gridIndex, min: 0, splitNumber: 3 },
      ...axis(name, 48),
      axisLine: { show: false },
    })),
    series: lines.map(({ name, points, index }) => ({
      ...plain(name),
      ...{
        type: 'line',
        xAxisIndex: index,
        yAxisIndex: index,
        showSymbol: false,
        lineStyle: { width: 1.75 },
      },
      // As many points as there are pixels, however long it ran.
      sampling: 'lttb',
      data: points.map(([seconds, value]) => [seconds / unit.seconds, value]),
    })),
  })
}

function frame(text: string, subtext: string): object {
  return {
    animation: false,
    color: colours,
    backgroundColor: background,
    textStyle: { fontFamily },
    title: {
      ...{ text, subtext, left: 16, top: 14, itemGap: 8 },
      textStyle: { fontSize: 17, fontWeight: 600, color: textColour },
      subtextStyle: { fontSize: 12, color: paleColour },
    },
  }
}

function legendOf(series: { name: string }[]): object {
  const data = series.map(({ name }) => name)
  return {
    ...{ data, bottom: 14, itemGap: 32, itemWidth: 14, itemHeight: 10, icon: 'rect' },
    textStyle: { color: textColour },
    selectedMode: false,
  }
}

function axis(name: string, nameGap: number): object {
  return {
    ...{ name, nameGap, nameLocation: 'middle', nameTextStyle: { color: paleColour, fontSize: 12 } },
    axisLabel: { color: paleColour },
    axisTick: { show: false },
    axisLine: { lineStyle: { color: paleColour } },
    splitLine: { lineStyle: { color: gridColour } },
  }
}

function plain(name: string): object {
  return { name, silent: true, emphasis: { disabled: true } }
}

function thousands({ value }: { value: number | string }): string {
  return typeof value === 'number' ? value.toLocaleString('en-US', { maximumFractionDigits: 0 }) : ''
}

function render(height: number, title: string, option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  chart.setOption(option)
  const svg = chart.renderToSVGString()
  chart.dispose()
  // Ids are counted over the process, and what is for a mouse has no use in a picture.
  return `${svg
    .replaceAll(/ (class|pointer-events|ecmeta_\w+)="[^"]*"/g, '')
    .replace(/<style\s*>[\s\S]*?<\/style>\s*/, '')
    .replaceAll(/zr\d+-/g, 'zr-')
    // For who hears the picture instead of seeing it. Titles are ours: nothing in them needs to be escaped.
    .replace('>', `><title>${title}</title>`)
    .trim()}\n`
}
