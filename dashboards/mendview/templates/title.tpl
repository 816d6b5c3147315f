<header><h2>{{title}}</h2></header>
