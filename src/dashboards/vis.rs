//! How Dashboards writes a visualization down: `visState` and `uiStateJSON`.

use serde_json::{Map, Value, json};

use super::panels::{CLASSES, Kind, Panel};

/// `visState`: kind, parameters, aggregations.
pub fn state(panel: &Panel) -> Value {
    let (kind, params) = match panel.kind {
        Kind::Numbers => ("metric", numbers()),
        Kind::Bars => ("histogram", axes("histogram", label(panel))),
        Kind::Area => ("area", axes("area", label(panel))),
        Kind::Donut => ("pie", donut()),
        Kind::Table => ("table", table()),
    };
    json!({ "title": panel.title, "type": kind, "params": params, "aggs": panel.aggs })
}

/// `uiStateJSON`: the colours of what is told apart.
pub fn looks(panel: &Panel) -> Value {
    let colors: Map<String, Value> = match panel.kind {
        Kind::Bars | Kind::Donut => {
            CLASSES.iter().map(|(class, color)| ((*class).to_owned(), (*color).into())).collect()
        }
        _ => return json!({}),
    };
    json!({ "vis": { "colors": colors } })
}

/// What the first metric is called.
fn label(panel: &Panel) -> &Value {
    &panel.aggs[0]["params"]["customLabel"]
}

fn numbers() -> Value {
    json!({
        "type": "metric",
        "addTooltip": true,
        "addLegend": false,
        "metric": {
            "percentageMode": false,
            "useRanges": false,
            "colorSchema": "Green to Red",
            "metricColorMode": "None",
            "colorsRange": [{ "from": 0, "to": 10000 }],
            "labels": { "show": true },
            "invertColors": false,
            "style": { "bgFill": "#000", "bgColor": false, "labelColor": false, "subText": "", "fontSize": 40 },
        },
    })
}

fn axes(kind: &str, label: &Value) -> Value {
    json!({
        "type": kind,
        "grid": { "categoryLines": false },
        "categoryAxes": [{
            "id": "CategoryAxis-1",
            "type": "category",
            "position": "bottom",
            "show": true,
            "style": {},
            "scale": { "type": "linear" },
            "labels": { "show": true, "filter": true, "truncate": 100 },
            "title": {},
        }],
        "valueAxes": [{
            "id": "ValueAxis-1",
            "name": "LeftAxis-1",
            "type": "value",
            "position": "left",
            "show": true,
            "style": {},
            "scale": { "type": "linear", "mode": "normal" },
            "labels": { "show": true, "rotate": 0, "filter": false, "truncate": 100 },
            "title": { "text": label },
        }],
        "seriesParams": [{
            "show": true,
            "type": kind,
            "mode": "stacked",
            "data": { "label": label, "id": "1" },
            "valueAxis": "ValueAxis-1",
            "drawLinesBetweenPoints": true,
            "lineWidth": 2,
            "interpolate": "linear",
            "showCircles": false,
        }],
        "addTooltip": true,
        "addLegend": true,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": false,
        "labels": { "show": false },
        "thresholdLine": { "show": false, "value": 10, "width": 1, "style": "full", "color": "#E7664C" },
    })
}

fn donut() -> Value {
    json!({
        "type": "pie",
        "addTooltip": true,
        "addLegend": true,
        "legendPosition": "right",
        "isDonut": true,
        "labels": { "show": true, "values": true, "last_level": true, "truncate": 100 },
    })
}

fn table() -> Value {
    json!({
        "perPage": 10,
        "showPartialRows": false,
        "showMetricsAtAllLevels": false,
        "sort": { "columnIndex": null, "direction": null },
        "showTotal": false,
        "totalFunc": "sum",
        "percentageCol": "",
    })
}
