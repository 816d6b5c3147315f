% if searches:
<h1>Searches</h1>
<div class="scroll" tabindex="0" role="region" aria-label="Searches"><table><caption>{{words.plural(len(searches), "search", "searches")}} in this database, the latest first</caption>
<thead><tr><th class="left">search</th><th>trials</th><th>best score</th><th>workers alive</th><th>failed</th><th>last</th></tr></thead><tbody>
% for item in searches:
<tr><td class="left wide"><a href="/mend/{{item.study_id}}/">{{item.name}}</a></td><td>{{words.count(item.done)}}{{" of " + words.count(item.wanted) if item.wanted else ""}}</td>
<td>{{words.score(item.best)}}</td><td>{{item.alive if item.wanted else "–"}}</td><td>{{item.failed}}</td><td><time datetime="{{words.moment(item.last)}}">{{words.moment(item.last) or "–"}}</time></td></tr>
% end
</tbody></table></div>
% else:
<div class="empty"><h1>No search yet</h1><p>{{"The database holds no study." if optuna else "The database is empty."}} A search that is run with <code>--storage {{url}}</code> appears here.</p></div>
% end
