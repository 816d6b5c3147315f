% if results:
<p class="note">{{caption}}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Networks"><table>
<thead><tr><th class="left">network</th><th>test accuracy</th><th>before fine-tuning</th><th>score</th><th>MACs</th><th>parameters</th><th>latency</th></tr></thead><tbody>
% for name, row in results.items():
<tr{{!' class="strong"' if name == "mended" else ""}}><td class="left">{{titles[name]}}</td><td>{{words.percent(row.get("accuracy"), 2)}}</td><td>{{words.percent(row.get("accuracy_before"), 2)}}</td>
<td>{{words.score(row.get("score", dense_score if name == "dense" else None))}}</td>
<td>{{words.count(row["macs"])}}{{" (%.1f%%)" % (100 * row["macs"] / results["dense"]["macs"]) if results.get("dense", {}).get("macs") else ""}}</td>
<td>{{words.count(row.get("params"))}}</td><td>{{"%.2f ms" % row["latency_ms"] if "latency_ms" in row else "–"}}</td></tr>
% end
</tbody></table></div>
% else:
<p class="note">Dense, uniform, pre-pruned and mended are compared here when the search has ended and they are fine-tuned.</p>
% end
